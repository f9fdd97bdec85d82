package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"

	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/sepay"
	"github.com/doisoat/doisoat/providers/vietqr"
	"github.com/doisoat/doisoat/providers/vnpay"
)

type signatureCommand struct {
	File string `arg:"" help:"One message or a list of them, in the shape of the published vectors; - reads the standard input."`
}

// vectorChecks judges one message, by provider.
var vectorChecks = map[string]func(providers.Vector) providers.VectorResult{
	vnpay.Name:  vnpay.CheckVector,
	vietqr.Name: vietqr.CheckVector,
	sepay.Name:  sepay.CheckVector,
}

// Run prints the verdict over each message: an object for one message, a list
// for a list. It fails when the file cannot be read and when a verdict
// differs from the message's member "expect"; without the member, accepted is expected.
func (c *signatureCommand) Run(p *program) error {
	f, err := openFile(c.File)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxVectors+1))
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if len(text) > maxVectors {
		return fmt.Errorf("%s: the file is larger than %d bytes", c.File, maxVectors)
	}
	vectors, err := providers.DecodeVectors(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	results, well := make([]providers.VectorResult, len(vectors)), true
	for i, v := range vectors {
		results[i] = judge(v)
		well = well && results[i].Accepted == (cmp.Or(v.Expect, "accept") == "accept")
	}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) && len(results) == 1 {
		err = p.writeJSON(results[0])
	} else {
		err = p.writeJSON(results)
	}
	if err == nil && !well {
		return errNotWell
	}
	return err
}

const maxVectors = 8 << 20

func judge(v providers.Vector) providers.VectorResult {
	check, ok := vectorChecks[v.Provider]
	if !ok {
		return providers.VectorResult{ID: v.ID, Signature: v.Signature, Reason: "unknown provider " + v.Provider}
	}
	return check(v)
}
