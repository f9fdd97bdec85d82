package main

import (
	"fmt"
	"runtime"
)

// version is set when the program is built.
var version = "dev"

type versionCommand struct {
	JSON bool `help:"As JSON."`
}

// Run prints the version.
func (c *versionCommand) Run(p *program) error {
	if c.JSON {
		return p.writeJSON(map[string]string{"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
	}
	fmt.Fprintln(p.stdout, "doisoat", version)
	return nil
}
