package matching

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNamesIn(t *testing.T) {
	t.Parallel()
	ids := []string{"VNP20240502-01", "VNP20240502-012", "12"}
	batches := map[string][]BatchKey{}
	for _, id := range ids {
		batches[Squeeze(id)] = []BatchKey{{ID: id}}
	}
	tests := []struct {
		content   string
		batches   []string
		providers []string
	}{
		{"VNPAY THANH TOAN DOT VNP20240502-01 TMN DVCTEST1", []string{"VNP20240502-01"}, []string{"vnpay"}},
		{"vnpay thanh toán đợt vnp20240502 01.", []string{"VNP20240502-01"}, []string{"vnpay"}},
		{"DOT VNP2024 0502-01 2 TMN", []string{"VNP20240502-01", "VNP20240502-012"}, nil},
		{"DOT VNP20240502-012", []string{"VNP20240502-012"}, nil},
		{"DOT VNP20240502-0123", nil, nil},
		{"XVNP20240502-01", nil, nil},
		{"12 VNPAYX", nil, nil},
		{"", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.content, func(t *testing.T) {
			t.Parallel()
			keys, providers := NamesIn(tt.content, batches, map[string]string{"VNPAY": "vnpay"})
			var got []string
			for _, k := range keys {
				got = append(got, k.ID)
			}
			slices.Sort(got)
			if diff := cmp.Diff([][]string{got, providers}, [][]string{tt.batches, tt.providers}); diff != "" {
				t.Errorf("names (-got +want):\n%s", diff)
			}
		})
	}
}
