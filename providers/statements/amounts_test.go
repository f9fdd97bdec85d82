package statements

import "testing"

// FuzzColumn checks that the style of a column reads every number of the column.
func FuzzColumn(f *testing.F) {
	for _, seed := range [][2]string{{"150.000", "1.500"}, {"150,000", "1.5"}, {"(1.000)", "20"}, {"1 000 đ", "1-"}, {"1,000", "1.000"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		var c Column
		if !c.See(a) || !c.See(b) {
			t.Skip()
		}
		s, ok := c.Style()
		if !ok {
			t.Skip()
		}
		for _, cell := range []string{a, b} {
			if _, ok := s.Signed(cell); !ok {
				t.Errorf("%q was seen but cannot be read in the style %q", cell, s)
			}
		}
	})
}

func TestColumn(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cells []string
		want  []string // nil: ambiguous
	}{
		"dots are thousands":      {[]string{"150.000", "1.500.000", "20"}, []string{"150000", "1500000", "20"}},
		"commas are thousands":    {[]string{"150,000"}, []string{"150000"}},
		"dots are decimals":       {[]string{"150.000", "150.50"}, []string{"150", "150.5"}},
		"ungrouped is decimals":   {[]string{"1500.000"}, []string{"1500"}},
		"both marks":              {[]string{"1.500,50", "3"}, []string{"1500.5", "3"}},
		"two decimals":            {[]string{"150000.00"}, []string{"150000"}},
		"signs":                   {[]string{"-1", "1-", "(1)", "+1", "\u22121"}, []string{"-1", "-1", "-1", "1", "-1"}},
		"contradiction":           {[]string{"1,000", "1.000"}, nil},
		"contradicting decimals":  {[]string{"1.5", "1,5"}, nil},
		"narrow blanks":           {[]string{"1\u202f000", "2\u00a0000 ₫"}, []string{"1000", "2000"}},
		"no value, no difficulty": {nil, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c Column
			for _, cell := range tc.cells {
				if !c.See(cell) {
					t.Fatalf("see %q: no number", cell)
				}
			}
			s, ok := c.Style()
			if ok != (tc.want != nil) {
				t.Fatalf("style: %v, want %v", ok, tc.want != nil)
			}
			for i, want := range tc.want {
				if got, _ := s.Signed(tc.cells[i]); got.String() != want {
					t.Errorf("%q is %s, want %s", tc.cells[i], got, want)
				}
			}
		})
	}
}
