package seal_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/ledger"
	"github.com/doisoat/doisoat/ledger/proof"
	"github.com/doisoat/doisoat/ledger/seal"
)

func TestDailyProof(t *testing.T) {
	t.Parallel()
	b := newBook(t, 4)
	at := now
	b.seal.Now = func() time.Time { return at }
	if _, err := b.seal.DailyProof(t.Context(), auditor, day); !seal.ErrNoProof.Is(err) {
		t.Errorf("before the first block: got %v, want ErrNoProof", err)
	}
	b.postMany(ngheAn, 0, 6)
	first := b.mustSeal(ngheAn)
	at = now.Add(24 * time.Hour)
	b.postMany(ngheAn, 6, 2)
	second := b.mustSeal(ngheAn)
	at = now.Add(72 * time.Hour)

	daily := func(days int) seal.DailyProof {
		t.Helper()
		got, err := b.seal.DailyProof(t.Context(), auditor, day.AddDays(days))
		if err != nil {
			t.Fatalf("DailyProof: %v", err)
		}
		return got
	}
	sum := func(debits int64) proof.Totals {
		return proof.Totals{
			{Currency: "VND", Debits: debits, Credits: debits},
			{Currency: "VND", Memo: true, Debits: debits, Credits: debits},
		}
	}
	for _, c := range []struct {
		days int
		want seal.DailyProof
	}{
		{0, seal.DailyProof{
			Authority: ngheAn, Date: day, Final: true, ChainHead: first.Head.Hash, Root: first.Head.Root, Block: *first.Head,
			Blocks: 2, Entries: 6, Postings: 24, Totals: sum(6015), AllTime: 6,
		}},
		{1, seal.DailyProof{
			Authority: ngheAn, Date: day.AddDays(1), Final: true, ChainHead: second.Head.Hash, Root: second.Head.Root, Block: *second.Head,
			Blocks: 1, Entries: 2, Postings: 8, Totals: sum(2013), AllTime: 8,
		}},
		{3, seal.DailyProof{
			Authority: ngheAn, Date: day.AddDays(3), ChainHead: second.Head.Hash, Root: second.Head.Root, Block: *second.Head,
			Totals: proof.Totals{}, AllTime: 8,
		}},
	} {
		if diff := cmp.Diff(daily(c.days), c.want); diff != "" {
			t.Errorf("after %d days (-got +want):\n%s", c.days, diff)
		}
	}
	portal := auth.Actor{Authority: ngheAn, Role: auth.RolePortal, ID: "key_portal"}
	if _, err := b.seal.DailyProof(t.Context(), portal, day); !auth.ErrForbidden.Is(err) {
		t.Errorf("a portal: got %v, want ErrForbidden", err)
	}
	stranger := auth.Actor{Authority: other, Role: auth.RoleAuditor, ID: "key_other"}
	if _, err := b.seal.DailyProof(t.Context(), stranger, day); !seal.ErrNoProof.Is(err) {
		t.Errorf("another province: got %v, want ErrNoProof", err)
	}
}

func TestProve(t *testing.T) {
	t.Parallel()
	b := newBook(t, 4)
	ids := b.postMany(ngheAn, 0, 10)
	if _, err := b.seal.Prove(t.Context(), auditor, ids[0]); !seal.ErrNotSealed.Is(err) {
		t.Errorf("before sealing: got %v, want ErrNotSealed", err)
	}
	head := b.mustSeal(ngheAn).Head
	for i, id := range ids {
		p, err := b.seal.Prove(t.Context(), auditor, id)
		if err != nil {
			t.Fatalf("Prove: %v", err)
		}
		if p.Head != head.Hash || int(p.Block.Number) != i/4+1 || int(p.Position) != i%4 || p.Entry.ID != id {
			t.Errorf("entry %d: got head %s, block %d, place %d", i, p.Head, p.Block.Number, p.Position)
		}
	}
	byCause, err := b.seal.ProveCause(t.Context(), auditor, captured(ngheAn, 5).Cause)
	if err != nil || byCause.Entry.ID != ids[5] {
		t.Errorf("ProveCause: got %s (%v), want %s", byCause.Entry.ID, err, ids[5])
	}
	if _, err := b.seal.ProveCause(
		t.Context(),
		auditor,
		ledger.Cause{Kind: "capture", ID: "none", Event: "captured"},
	); !ledger.ErrEntryNotFound.Is(
		err,
	) {
		t.Errorf("an unknown cause: got %v, want ErrEntryNotFound", err)
	}
	stranger := auth.Actor{Authority: other, Role: auth.RoleAuditor, ID: "key_other"}
	if _, err := b.seal.Prove(t.Context(), stranger, ids[0]); !ledger.ErrEntryNotFound.Is(err) {
		t.Errorf("another province: got %v, want ErrEntryNotFound", err)
	}
	b.force(`update ledger.posting set amount = amount + 1 where entry_id = $1`, ids[2])
	if _, err := b.seal.Prove(t.Context(), auditor, ids[2]); !seal.ErrBroken.Is(err) {
		t.Errorf("a changed entry: got %v, want ErrBroken", err)
	}
}

// export returns the exported book of Nghệ An with some blocks, and a proof out of its middle.
func (b book) export() ([]byte, proof.Exported, []byte) {
	b.t.Helper()
	ids := b.sealed()
	var file bytes.Buffer
	done, err := b.seal.Export(b.t.Context(), auditor, &file)
	if err != nil {
		b.t.Fatalf("Export: %v", err)
	}
	inclusion, err := b.seal.Prove(b.t.Context(), auditor, ids[2])
	if err != nil {
		b.t.Fatalf("Prove: %v", err)
	}
	text, err := json.Marshal(inclusion)
	if err != nil {
		b.t.Fatal(err)
	}
	return file.Bytes(), done, text
}

func TestExportedBook(t *testing.T) {
	t.Parallel()
	b := newBook(t, 4)
	var empty bytes.Buffer
	if _, err := b.seal.Export(t.Context(), auditor, &empty); err != nil {
		t.Fatalf("Export: %v", err)
	}
	if _, err := proof.VerifyBook(&empty, nil, nil); err != nil {
		t.Errorf("an empty book: %v", err)
	}
	file, done, _ := b.export()
	passed := 0
	book, inclusion, err := proof.VerifyFile(bytes.NewReader(file), []proof.Hash{done.Head}, func(n int) { passed += n })
	if err != nil || inclusion != nil {
		t.Fatalf("VerifyFile: %v", err)
	}
	want := &proof.Verified{
		Authority: ngheAn,
		Exported:  proof.Exported{Blocks: 3, Entries: 10, Postings: 40, Head: done.Head},
		Totals: proof.Totals{
			{Currency: "VND", Debits: 10045, Credits: 10045},
			{Currency: "VND", Memo: true, Debits: 10045, Credits: 10045},
		},
	}
	if diff := cmp.Diff(book, want); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
	if passed != 10 {
		t.Errorf("told of %d entries, want 10", passed)
	}
	if _, _, err := proof.VerifyFile(
		bytes.NewReader(file),
		[]proof.Hash{{1}},
		nil,
	); err == nil ||
		!strings.Contains(err.Error(), "no block has the hash") {
		t.Errorf("a head of another book: got %v", err)
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(file, []byte("\n")), []byte("\n"))
	for name, c := range map[string]struct {
		lines [][]byte
		want  string
	}{
		"cut":           {lines[:len(lines)-1], "it ends before its last line"},
		"entry missing": {append(append([][]byte{}, lines[:3]...), lines[4:]...), "line 6: block 1 has 3 entries and its header says 4"},
		"block missing": {append(append([][]byte{}, lines[:6]...), lines[11:]...), "line 7: block 3 does not stand behind its predecessor"},
		"twice":         {append(append([][]byte{}, lines...), append([]byte("\n"), lines[0]...)), "there is more behind the end"},
		"exchanged": {
			append(append([][]byte{}, lines[0], lines[1], lines[3], lines[2]), lines[4:]...),
			"line 7: block 1: its entries do not lead to its root",
		},
	} {
		_, err := proof.VerifyBook(bytes.NewReader(bytes.Join(c.lines, nil)), nil, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
	changed := bytes.Replace(file, []byte(`"amount":1005`), []byte(`"amount":9005`), 1)
	if _, err := proof.VerifyBook(bytes.NewReader(changed), nil, nil); err == nil || !strings.Contains(err.Error(), "of block 2, place 1") {
		t.Errorf("a changed amount: got %v, want the entry named", err)
	}
}

// The verifier finds any single changed bit of an exported book. It also finds any changed bit of a proof, unless the
// proof's values stay the same.
func TestAnyFlippedBitIsFound(t *testing.T) {
	t.Parallel()
	b := newBook(t, 4)
	file, done, proofText := b.export()
	flip := func(t *rapid.T, text []byte) []byte {
		wrong := bytes.Clone(text)
		at := rapid.IntRange(0, len(text)-1).Draw(t, "byte")
		wrong[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		return wrong
	}
	rapid.Check(t, func(t *rapid.T) {
		wrong := flip(t, file)
		// A final line feed is no part of any line.
		if _, err := proof.VerifyBook(
			bytes.NewReader(wrong),
			[]proof.Hash{done.Head},
			nil,
		); err == nil &&
			!bytes.Equal(bytes.TrimSpace(wrong), bytes.TrimSpace(file)) {
			t.Fatalf("a changed book passes")
		}
	})
	var want proof.InclusionProof
	if err := json.Unmarshal(proofText, &want); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		_, got, err := proof.VerifyFile(bytes.NewReader(flip(t, proofText)), []proof.Hash{done.Head}, nil)
		if err == nil && !cmp.Equal(*got, want) {
			t.Fatalf("a changed proof passes:\n%s", cmp.Diff(*got, want))
		}
	})
}

// A proof has one meaning for every reader. The verifier refuses text that a JSON reader would ignore, or would take
// from another place than the verifier.
func TestProofSaysOneThing(t *testing.T) {
	t.Parallel()
	b := newBook(t, 4)
	_, done, text := b.export()
	heads := []proof.Hash{done.Head}
	var spaced bytes.Buffer
	if err := json.Indent(&spaced, text, "", "  "); err != nil {
		t.Fatal(err)
	}
	spaced.WriteByte('\n')
	if _, _, err := proof.VerifyFile(&spaced, heads, nil); err != nil {
		t.Errorf("the same proof with spaces: %v", err)
	}
	replace := func(old, with string) []byte {
		t.Helper()
		if !bytes.Contains(text, []byte(old)) {
			t.Fatalf("the proof does not hold %s", old)
		}
		return bytes.Replace(text, []byte(old), []byte(with), 1)
	}
	const recorded, sealed = `"recorded_at":"2026-11-20T03:00:00.123456Z"`, `"sealed_at":"2026-11-20T03:00:00.123456Z"`
	for name, wrong := range map[string][]byte{
		"another amount before, under the same name":  replace(`"amount":1002`, `"amount":9002,"amount":1002`),
		"another amount behind, under a name like it": replace(`"amount":1002`, `"amount":9002,"Amount":1002`),
		"another entry before":                        replace(`"entry":{`, `"entry":{"description":"forged"},"entry":{`),
		"a time with more than is hashed":             replace(recorded, `"recorded_at":"2026-11-20T03:00:00.123456789Z"`),
		"a block's time with more than is hashed":     replace(sealed, `"sealed_at":"2026-11-20T03:00:00.123456789Z"`),
		"a time in another zone":                      replace(recorded, `"recorded_at":"2026-11-20T10:00:00.123456+07:00"`),
		"something behind the end":                    append(bytes.Clone(text), `{"amount":9002}`...),
	} {
		if _, _, err := proof.VerifyFile(bytes.NewReader(wrong), heads, nil); err == nil {
			t.Errorf("%s: the proof passes", name)
		}
	}
}

func FuzzVerifyFile(f *testing.F) {
	f.Add(
		[]byte(
			`{"format":"doisoat book 1","authority":"H41"}` + "\n" + `{"end":{"blocks":0,"entries":0,"postings":0,"head":"` + strings.Repeat(
				"0",
				64,
			) + `"}}`,
		),
	)
	f.Add([]byte(`{"format":"doisoat book 1","authority":"H41"}` + "\n" + `{"block":null}`))
	f.Add([]byte(`{"format":"doisoat proof 1","block":{"entries":1}}`))
	f.Add([]byte(`{"leaf":`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, p, err := proof.VerifyFile(bytes.NewReader(data), nil, nil)
		if err == nil && p != nil && p.Verify() != nil {
			t.Error("a proof was passed and does not hold")
		}
	})
}

// BenchmarkSeal measures sealing an entry of four postings, beside posting one such entry per commit.
func BenchmarkSeal(bench *testing.B) {
	b := newBook(bench, 0)
	n := 0
	post := func(count int) {
		for done := 0; done < count; done += 500 {
			var list []ledger.Entry
			for range min(500, count-done) {
				n++
				list = append(list, captured(ngheAn, n))
			}
			b.post(list...)
		}
	}
	post(seal.BlockSize)
	if _, err := b.Owner.Exec(bench.Context(), `analyze`); err != nil {
		bench.Fatal(err)
	}
	b.mustSeal(ngheAn)
	bench.Run("seal", func(bench *testing.B) {
		for bench.Loop() {
			bench.StopTimer()
			post(seal.BlockSize)
			b.waitForHorizon()
			bench.StartTimer()
			b.mustSeal(ngheAn)
		}
		bench.ReportMetric(float64(bench.Elapsed().Microseconds())/float64(bench.N)/seal.BlockSize, "µs/entry")
	})
	bench.Run("check", func(bench *testing.B) {
		for bench.Loop() {
			if got := b.check(ngheAn); len(got) > 0 {
				bench.Fatal(got)
			}
		}
		sealed := float64(b.count(`select count(*) from ledger.sealed_entry`))
		bench.ReportMetric(float64(bench.Elapsed().Microseconds())/float64(bench.N)/sealed, "µs/entry")
	})
	bench.Run("post", func(bench *testing.B) {
		for bench.Loop() {
			n++
			b.post(captured(ngheAn, n))
		}
	})
}
