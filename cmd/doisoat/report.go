package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// writeJSON writes one report to stdout.
func (p *program) writeJSON(value any) error {
	e := json.NewEncoder(p.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(value); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// onTerminal reports whether a person reads the output as it comes.
func (p *program) onTerminal() bool {
	f, ok := p.stdout.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// openFile opens the named file; "-" is the standard input.
func openFile(name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(os.Stdin), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return f, nil
}
