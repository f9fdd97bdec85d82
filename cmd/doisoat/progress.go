package main

import (
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressBar shows on a terminal how far a long command is; elsewhere it shows nothing.
type progressBar struct{ bar *progressbar.ProgressBar }

// progress begins a bar of total units; -1 is not known.
func (p *program) progress(what, unit string, total int64) progressBar {
	if !terminal(p.stderr) {
		return progressBar{}
	}
	return progressBar{progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(p.stderr),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(30),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString(unit),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish())}
}

func (b progressBar) add(entries int) {
	if b.bar != nil {
		_ = b.bar.Add(entries)
	}
}

func (b progressBar) end() {
	if b.bar != nil {
		_ = b.bar.Finish()
	}
}
