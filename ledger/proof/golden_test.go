package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the hashes of the golden vectors anew")

// vector is one entry or header of testdata/golden.json with its hashes.
type vector struct {
	Name      string   `json:"name"`
	Entry     *Entry   `json:"entry,omitempty"`
	Block     *Block   `json:"block,omitempty"`
	Canonical hexBytes `json:"canonical,omitempty"`
	Content   *Hash    `json:"content,omitempty"` // of an entry
	Hash      Hash     `json:"hash"`
}

// hexBytes is shown as hex digits.
type hexBytes []byte

// MarshalText implements encoding.TextMarshaler.
func (b hexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// The canonical form never changes: hashes of these vectors stand in books.
// Others who write a verifier test it with the same file.
func TestGoldenVectors(t *testing.T) {
	t.Parallel()
	path := filepath.Join("testdata", "golden.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	for i := range list {
		v := &list[i]
		var got vector
		if v.Entry != nil {
			form, _ := v.Entry.form(nil, nil)
			got.Canonical = hexBytes(form)
			content, _ := new(Hasher).Content(v.Entry)
			got.Content, got.Hash = &content, new(Hasher).leaf(v.Entry)
		} else {
			got.Hash = v.Block.HeaderHash()
		}
		if *update {
			v.Canonical, v.Content, v.Hash = got.Canonical, got.Content, got.Hash
			if v.Block != nil {
				v.Block.Hash = got.Hash
			}
			continue
		}
		if !bytes.Equal(got.Canonical, v.Canonical) {
			t.Errorf("%s: canonical bytes: got %x, want %x", v.Name, got.Canonical, v.Canonical)
		}
		if !cmp.Equal(got.Content, v.Content) {
			t.Errorf("%s: got content %s, want %s", v.Name, got.Content, v.Content)
		}
		if got.Hash != v.Hash {
			t.Errorf("%s: got hash %s, want %s", v.Name, got.Hash, v.Hash)
		}
	}
	if *update {
		text, err := json.MarshalIndent(list, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(text, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// plainLeaf is the leaf of some bytes, as RFC 6962 has it.
func plainLeaf(data ...byte) Hash { return sha256.Sum256(append([]byte{leafPrefix}, data...)) }

// The roots that the Certificate Transparency project publishes for these leaves.
func TestMerkleRootsOfRFC6962(t *testing.T) {
	t.Parallel()
	var leaves []Hash
	for i, c := range []struct{ leaf, root string }{
		{"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
		{"00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
		{"10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
		{"2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
		{"3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
		{"40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
		{"5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
		{"606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
	} {
		data, err := hex.DecodeString(c.leaf)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, plainLeaf(data...))
		if got := Root(leaves).String(); got != c.root {
			t.Errorf("%d leaves: got %s, want %s", i+1, got, c.root)
		}
	}
	if got, want := Root(nil).String(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; got != want {
		t.Errorf("no leaves: got %s, want %s", got, want)
	}
}

// A path leads to the root from its own place only, and no other path does.
func TestInclusionPaths(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 70).Draw(t, "size")
		leaves := make([]Hash, size)
		for i := range leaves {
			leaves[i] = plainLeaf(byte(i))
		}
		root := Root(leaves)
		at := rapid.IntRange(0, size-1).Draw(t, "at")
		path := Path(leaves, at)
		if got, ok := rootOfPath(leaves[at], at, size, path); !ok || got != root {
			t.Fatalf("the path of %d in %d leads to %s (%t), want %s", at, size, got, ok, root)
		}
		wrong := append([]Hash(nil), path...)
		leaf, place, of := leaves[at], at, size
		switch rapid.IntRange(0, 5).Draw(t, "wrong") {
		case 0:
			if size == 1 {
				return
			}
			place = (at + rapid.IntRange(1, size-1).Draw(t, "shift")) % size
		case 1:
			leaf[rapid.IntRange(0, 31).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case 2:
			if len(wrong) == 0 {
				return
			}
			wrong[rapid.IntRange(0, len(wrong)-1).Draw(t, "step")][rapid.IntRange(0, 31).Draw(t, "byte")] ^= 1
		case 3:
			wrong = append(wrong, Hash{})
		case 4:
			if len(wrong) == 0 {
				return
			}
			wrong = wrong[:len(wrong)-1]
		case 5:
			place = -1
		}
		if got, ok := rootOfPath(leaf, place, of, wrong); ok && got == root {
			t.Fatalf("a wrong proof holds: place %d of %d", place, of)
		}
	})
}

// No bit of an entry or of its postings can change without another hash, and
// no text can move from one field into the next.
func TestCanonicalIsUnambiguous(t *testing.T) {
	t.Parallel()
	word := rapid.StringN(0, 6, -1)
	text := func(t *rapid.T, name string) *string {
		s := word.Draw(t, name)
		if rapid.Bool().Draw(t, name+" is there") {
			return &s
		}
		return nil
	}
	draw := func(t *rapid.T) *Entry {
		r := &Entry{
			CauseKind: word.Draw(t, "kind"), CauseID: word.Draw(t, "id"), CauseEvent: word.Draw(t, "event"),
			Description: word.Draw(t, "description"), Actor: word.Draw(t, "actor"), Reason: word.Draw(t, "reason"),
			Count: rapid.Int16().Draw(t, "count"), Tx: rapid.Int64().Draw(t, "tx"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "postings") {
			r.Postings = append(r.Postings, Posting{
				Line: rapid.Int16().Draw(t, "line"), Account: word.Draw(t, "account"), Amount: rapid.Int64().Draw(t, "amount"),
				Memo: rapid.Bool().Draw(t, "memo"), FeeType: text(t, "fee type"), Policy: text(t, "policy"),
			})
		}
		return r
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t), draw(t)
		formA, marks := a.form(nil, nil)
		formB, _ := b.form(nil, nil)
		if len(marks) != len(a.Postings)*MarkSize {
			t.Fatalf("%d bytes of marks for %d postings", len(marks), len(a.Postings))
		}
		equal := cmp.Equal(a, b)
		if same := new(Hasher).leaf(a) == new(Hasher).leaf(b); same != equal {
			t.Fatalf("leaves equal: %t, entries equal: %t\n%+v\n%+v", same, equal, a, b)
		}
		equal = cmp.Equal(a, b, cmpopts.IgnoreFields(Entry{}, "Tx")) // only the leaf has Tx
		if same := bytes.Equal(formA, formB); same != equal {
			t.Fatalf("canonical bytes equal: %t, entries equal: %t\n%+v\n%+v", same, equal, a, b)
		}
	})
}
