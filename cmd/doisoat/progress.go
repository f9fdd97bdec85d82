package main

import (
	"time"

	"github.com/schollz/progressbar/v3"
)

// progress shows on a terminal how much of a long command is done; without a terminal it shows
// nothing. A size of -1 is not known.
func (p *program) progress(text, unit string, size int64) (add func(units int), end func()) {
	if !terminal(p.stderr) {
		return func(int) {}, func() {}
	}
	bar := progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(p.stderr),
		progressbar.OptionSetDescription(text),
		progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString(unit),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish())
	return func(units int) { _ = bar.Add(units) }, func() { _ = bar.Finish() }
}
