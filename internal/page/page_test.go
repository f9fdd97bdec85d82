package page_test

import (
	"slices"
	"testing"

	"github.com/doisoat/doisoat/internal/page"
)

func TestCut(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name  string
		list  []string
		limit int
		want  []string
		next  int
	}{
		{"nothing", nil, 2, nil, 0},
		{"less than a page", []string{"a"}, 2, []string{"a"}, 0},
		{"a whole page is the last", []string{"a", "bb"}, 2, []string{"a", "bb"}, 0},
		{"one more row means another page", []string{"a", "bb", "ccc"}, 2, []string{"a", "bb"}, 2},
	} {
		got, next := page.Cut(x.list, x.limit, func(s string) int { return len(s) })
		if !slices.Equal(got, x.want) || next != x.next {
			t.Errorf("%s: got %v and %d, want %v and %d", x.name, got, next, x.want, x.next)
		}
	}
}

func TestLimit(t *testing.T) {
	t.Parallel()
	for asked, want := range map[int]int{-1: page.Max, 0: page.Max, 1: 1, page.Max: page.Max, page.Max + 1: page.Max} {
		if got := page.Limit(asked); got != want {
			t.Errorf("Limit(%d) = %d, want %d", asked, got, want)
		}
	}
}
