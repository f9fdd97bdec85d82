package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticks is the number of the kernel's clock ticks per second, the same on every Linux.
const ticks = 100

// cpu is processor time used so far: by PostgreSQL, and by the bench with the programs that it ran.
type cpu struct{ server, clients time.Duration }

// cpuNow reads the kernel's account. The time of a database process that has ended counts as time of the postmaster's
// children.
func (s *stage) cpuNow() cpu {
	var c cpu
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			c.clients += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	postmaster := strconv.Itoa(s.server.PID())
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return c
	}
	for _, path := range stats {
		text, err := os.ReadFile(path) //nolint:gosec // a process's own account
		if err != nil {
			continue // it has ended
		}
		pid, rest, _ := strings.Cut(string(text), " (")
		_, rest, _ = strings.Cut(rest, ") ")
		fields := strings.Fields(rest) // from the state on: 1 is the parent, 11 to 14 are ticks, the last two of ended children
		last := 13
		if pid == postmaster {
			last = 15
		} else if len(fields) < last || fields[1] != postmaster {
			continue
		}
		for _, text := range fields[11:last] {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				c.server += time.Duration(n) * time.Second / ticks
			}
		}
	}
	return c
}

// since is the use after an earlier reading, per entry.
func (c cpu) since(before cpu, entries float64) cpu {
	per := func(d time.Duration) time.Duration { return time.Duration(float64(d) / max(entries, 1)) }
	return cpu{per(c.server - before.server), per(c.clients - before.clients)}
}
