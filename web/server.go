package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Time limits of the server. Uploads get longer ones with ExtendDeadlines.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 120 * time.Second
	stopTimeout       = 20 * time.Second
	uploadTimeout     = 5 * time.Minute
	maxHeaderBytes    = 32 << 10
)

// Serve answers on l until ctx ends, then refuses new requests, lets the
// running ones finish for up to 20 s and returns nil. It closes l. Any other
// end of the server is an error.
func Serve(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve http: %w", err)
	case <-ctx.Done():
	}
	// The parent context has ended; stopping gets its own time.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		return errors.Join(fmt.Errorf("stop http: %w", err), server.Close())
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve http: %w", err)
	}
	return nil
}

// ExtendDeadlines gives a request the time for a large upload. Deadlines of connections follow the
// machine's clock, so the clock of the rooms does not change them.
func ExtendDeadlines(w http.ResponseWriter) error {
	c, now := http.NewResponseController(w), time.Now() //nolint:forbidigo // the connection knows only the machine's clock
	return errors.Join(c.SetReadDeadline(now.Add(uploadTimeout)), c.SetWriteDeadline(now.Add(uploadTimeout+writeTimeout)))
}
