package replay_test

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/repricing/replay"
)

// recordMany writes dossiers of one month as registration leaves them: 100
// communes, 400 procedures, one in five with two fees. It stands beside the
// rules on purpose: a million registrations would take an hour.
func (o office) recordMany(n int) {
	o.t.Helper()
	const batch = 10_000
	for start := 0; start < n; start += batch {
		size := min(batch, n-start)
		ids, sealed, numbers := make([]uuid.UUID, size), make([][]byte, size), make([]int, size)
		for i := range size {
			ids[i], numbers[i] = uuid.Must(uuid.NewV7()), start+i
			groups := `[]`
			if i%10 == 0 {
				groups = `["ho_ngheo"]`
			}
			var err error
			sealed[i], err = o.Dossiers.Secret.Encrypt(
				[]byte(`{"name":"`+name+`","identifier":"`+identifier+`","groups":`+groups+`}`),
				"dossiers.dossier/applicant/"+dossiers.ID(ids[i]).String(),
			)
			if err != nil {
				o.t.Fatal(err)
			}
		}
		_, err := o.Owner.Exec(o.t.Context(), `
			insert into dossiers.dossier (id, authority, code, agency, procedure, channel, service_level, submitted_at, pricing_date,
				currency, applicant, status, status_at, stage, request_hash, created_at, created_by)
			select d.id, 'H41', format('H41.12-240101-%s', lpad(d.n::text, 8, '0')), 'H41.' || d.n % 100, '1.' || d.n % 400,
				case when d.n % 4 = 0 then 'direct' else 'online' end, 'toan_trinh',
				'2024-01-01'::timestamptz, '2024-01-01'::date + (d.n::bigint * 31 / $4)::int,
				'VND', d.sealed, 1, now(), 'before_acceptance', sha256(''), now(), 'bench'
			from unnest($1::uuid[], $2::bytea[], $3::int[]) as d (id, sealed, n)`, ids, sealed, numbers, n)
		if err == nil {
			_, err = o.Owner.Exec(o.t.Context(), `
				insert into dossiers.charge (id, authority, dossier_id, line, fee_type, kind, quantity, base, discount, subsidy, due,
					currency, policy, explanation, created_at)
				select gen_random_uuid(), 'H41', d.id, line,
					case when line = 2 then 'LP_HO_TICH' when d.n % 3 = 0 then 'LP_HO_TICH' else 'LP_DKKD' end, 'le_phi', 1,
					100000, 40000, 0, 60000, 'VND', 'NA-2023-60',
					'{"reason": "discounted",
						"applied": [{"policy": "NA-2023-60", "version": 1, "rule": "rate", "amount": 40000}], "not_applied": []}', now()
				from unnest($1::uuid[], $2::int[]) as d (id, n), generate_series(1, case when d.n % 5 = 0 then 2 else 1 end) as line`, ids, numbers)
		}
		if err != nil {
			o.t.Fatal(err)
		}
	}
	if _, err := o.Owner.Exec(o.t.Context(), `analyze dossiers.dossier, dossiers.charge`); err != nil {
		o.t.Fatal(err)
	}
}

// BenchmarkPreview replays a draft over PREVIEW_DOSSIERS dossiers (100,000 when not set).
func BenchmarkPreview(b *testing.B) {
	n := 100_000
	if text := os.Getenv("PREVIEW_DOSSIERS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	o := newOffice(b)
	o.recordMany(n)
	request := replay.PreviewRequest{
		Policy: parsed(b, draft),
		Period: replay.Period{From: calendar.MustParse("2024-01-01"), To: calendar.MustParse("2024-01-31")},
	}
	for b.Loop() {
		words, longest, last := 0, time.Duration(0), time.Now()
		got, err := o.Preview(b.Context(), editor, request, func(int64, int64) {
			words, longest, last = words+1, max(longest, time.Since(last)), time.Now()
		})
		if err != nil || got.Total.Dossiers != int64(n) {
			b.Fatal(fmt.Errorf("got %d dossiers, want %d: %w", got.Total.Dossiers, n, err))
		}
		b.ReportMetric(float64(words), "words")
		b.ReportMetric(longest.Seconds(), "s/word")
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "dossiers/s")
}
