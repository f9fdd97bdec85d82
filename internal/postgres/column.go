package postgres

// Column takes one member of every element: the form of a parameter that unnest reads.
func Column[T, V any](list []T, of func(*T) V) []V {
	values := make([]V, len(list))
	for i := range list {
		values[i] = of(&list[i])
	}
	return values
}
