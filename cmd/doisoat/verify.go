package main

import (
	"fmt"

	"github.com/doisoat/doisoat/ledger/proof"
)

type verifyCommand struct {
	File string   `arg:"" help:"An exported book, or an inclusion proof of the API; - is the standard input."`
	Head []string `help:"Hash of a daily proof (chain_head) that the file must lead to; may be repeated." sep:"none"`
	JSON bool     `help:"As JSON."`
}

// verifyReport is the answer of the command.
type verifyReport struct {
	OK      bool            `json:"ok"`
	Problem string          `json:"problem,omitempty"`
	Book    *proof.Verified `json:"book,omitempty"`
	Proof   *verifiedProof  `json:"proof,omitempty"`
}

type verifiedProof struct {
	Entry     string     `json:"entry"`
	Authority string     `json:"authority"`
	Block     int64      `json:"block"`
	Head      proof.Hash `json:"head"`
}

// Run needs no database, only the file and a hash that the reader has kept.
func (c *verifyCommand) Run(p *program) error {
	heads := make([]proof.Hash, len(c.Head))
	for i, text := range c.Head {
		if err := heads[i].UnmarshalText([]byte(text)); err != nil {
			return fmt.Errorf("--head %s: %w", text, err)
		}
	}
	f, err := openFile(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	add, end := p.progress("verifying", "entries", -1)
	book, inclusion, err := proof.VerifyFile(f, heads, add)
	end()
	report := verifyReport{OK: err == nil, Book: book}
	if err != nil {
		report.Problem = err.Error()
	}
	if p := inclusion; p != nil {
		report.Proof = &verifiedProof{p.Entry.ID.String(), p.Entry.Authority, p.Block.Number, p.Head}
	}
	if c.JSON {
		err = p.writeJSON(report)
	} else {
		printVerified(p, report)
	}
	if err == nil && !report.OK {
		return errNotWell
	}
	return err
}

func printVerified(p *program, r verifyReport) {
	switch {
	case !r.OK:
		fmt.Fprintln(p.stdout, "WRONG", r.Problem)
	case r.Book != nil:
		fmt.Fprintf(p.stdout, "the book of %s is whole: %d blocks, %d entries, %d postings; head %s\n",
			r.Book.Authority, r.Book.Blocks, r.Book.Entries, r.Book.Postings, r.Book.Head)
		for _, t := range r.Book.Totals {
			class := "real"
			if t.Memo {
				class = "memo"
			}
			fmt.Fprintf(p.stdout, "  %s %s: debits %d, credits %d\n", t.Currency, class, t.Debits, t.Credits)
		}
	default:
		fmt.Fprintf(p.stdout, "entry %s is in block %d of the book of %s; head %s\n", r.Proof.Entry, r.Proof.Block, r.Proof.Authority,
			r.Proof.Head)
	}
}
