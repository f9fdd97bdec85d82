package main

type checkCommand struct {
	place
	Authority string `help:"Check one authority only."`
	JSON      bool   `help:"As JSON."`
}

// Run recomputes.
func (c *checkCommand) Run(p *program) error { return nil }
