package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/ledger/proof"
	"github.com/doisoat/doisoat/ledger/seal"
)

type sealCommand struct {
	Run    sealRunCommand    `cmd:"" default:"withargs" help:"Seal the finished entries, as the job does every few minutes."`
	Export sealExportCommand `cmd:"" help:"Write the sealed book of an authority to a file that doisoat verify reads."`
}

type sealRunCommand struct {
	place
	Authority string `help:"Seal one book only."`
	JSON      bool   `help:"As JSON."`
}

// Run seals every book once, to its end. When a book cannot be sealed, or another sealer works on
// it, Run seals the other books and returns an error.
func (c *sealRunCommand) Run(ctx context.Context, p *program) error {
	return withPool(ctx, p, c.place, func(pool *pgxpool.Pool) error {
		codes, err := authorityCodes(ctx, p, pool, c.Authority)
		if err != nil {
			return err
		}
		service := &seal.Service{DB: pool, Now: p.now}
		done := []seal.Sealed{}
		var failed error
		for _, code := range codes {
			one, err := service.Seal(ctx, code, 0)
			failed = errors.Join(failed, err)
			done = append(done, one)
		}
		if c.JSON {
			return errors.Join(p.writeJSON(done), failed)
		}
		printSealed(p, done)
		return failed
	})
}

func printSealed(p *program, done []seal.Sealed) {
	blocks := 0
	for _, one := range done {
		blocks += one.Blocks
		if one.Head != nil {
			fmt.Fprintf(p.stdout, "%s: %d entries sealed in %d blocks; block %d, head %s\n",
				one.Authority, one.Entries, one.Blocks, one.Head.Number, one.Head.Hash)
		}
	}
	fmt.Fprintf(p.stdout, "%d blocks sealed\n", blocks)
}

type sealExportCommand struct {
	place
	Authority string `required:"" help:"Code of the authority whose book is written, for example H41."`
	Out       string `required:"" help:"The file to write; - is the standard output."`
	JSON      bool   `help:"Report as JSON; not with --out -."`
}

// Run writes the book under a temporary name first, so that a file with the final name is whole.
func (c *sealExportCommand) Run(ctx context.Context, p *program) error {
	return withPool(ctx, p, c.place, func(pool *pgxpool.Pool) error {
		codes, err := authorityCodes(ctx, p, pool, c.Authority)
		if err != nil {
			return err
		}
		service := &seal.Service{DB: pool, Now: p.now}
		export := func(w io.Writer) (proof.Exported, error) {
			// The operator at the server may read the book, so the system acts.
			return service.Export(ctx, auth.System(codes[0]), w)
		}
		if c.Out == "-" {
			_, err := export(p.stdout)
			return err
		}
		done, err := toFile(c.Out, export)
		if err != nil {
			return err
		}
		if c.JSON {
			return p.writeJSON(done)
		}
		fmt.Fprintf(p.stdout, "%d blocks, %d entries, %d postings; head %s\n", done.Blocks, done.Entries, done.Postings, done.Head)
		return nil
	})
}

func toFile(name string, export func(w io.Writer) (proof.Exported, error)) (done proof.Exported, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return done, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	if done, err = export(f); err != nil {
		return done, err
	}
	if err = f.Sync(); err != nil {
		return done, err
	}
	if err = os.Rename(f.Name(), name); err != nil {
		return done, err
	}
	return done, f.Close()
}
