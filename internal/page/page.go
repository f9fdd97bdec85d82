// Package page cuts lists into pages. A room reads one row more than the page
// holds; the surplus row tells that another page follows, and Cut removes it.
// Every room that lists calls it. The package owns no data and holds no state.
package page

// Max is the size of the largest page, and of a page when the caller names no size.
const Max = 200

// Limit returns the size of a page for the size that a caller asked for: 1 to Max.
func Limit(asked int) int {
	if asked < 1 || asked > Max {
		return Max
	}
	return asked
}

// Cut shortens a list of up to limit+1 items to limit items. next is the key of
// the last item kept when another page follows, and the zero key otherwise.
func Cut[T, K any](list []T, limit int, key func(T) K) (cut []T, next K) {
	if len(list) <= limit {
		return list, next
	}
	return list[:limit], key(list[limit-1])
}
