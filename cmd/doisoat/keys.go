package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/keys"
	"github.com/doisoat/doisoat/internal/postgres"
)

type keysCommand struct {
	Create keysCreateCommand `cmd:"" help:"Make a key. Its text is shown only now."`
	List   keysListCommand   `cmd:"" help:"List the keys of an authority."`
	Revoke keysRevokeCommand `cmd:"" help:"Revoke a key at once."`
}

type keysCreateCommand struct {
	place
	Authority string        `required:"" help:"Code of the authority, for example H41."`
	Role      auth.Role     `required:"" help:"portal, accountant, chief_accountant, policy_editor, policy_approver, auditor or admin."`
	Name      string        `required:"" help:"Client that holds the key; no personal data."`
	Expires   time.Duration `help:"Lifetime, for example 8760h; without the flag the key has no end."`
	JSON      bool          `help:"As JSON."`
}

// keyView is a key as reports show it.
type keyView struct {
	ID        string     `json:"id"`
	Authority string     `json:"authority"`
	Role      auth.Role  `json:"role"`
	Name      string     `json:"name"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	RevokedAt *time.Time `json:"revoked_at"`
	Live      bool       `json:"live"`
	Key       string     `json:"key,omitempty"`
}

// Run makes the key and prints its text.
func (c *keysCreateCommand) Run(ctx context.Context, p *program) error {
	return withKeys(ctx, p, c.place, func(s keys.Service) error {
		var expires time.Time
		if c.Expires > 0 {
			expires = p.now().Add(c.Expires)
		}
		text, key, err := s.CreateKey(ctx, auth.Operator(c.Authority), c.Role, c.Name, expires)
		if err != nil {
			return err
		}
		if !c.JSON {
			fmt.Fprintln(p.stdout, text)
			return nil
		}
		view := viewKey(p, key)
		view.Key = text
		return p.writeJSON(view)
	})
}

type keysListCommand struct {
	place
	Authority string `required:"" help:"Code of the authority."`
	JSON      bool   `help:"As JSON."`
}

// Run lists keys without their secrets.
func (c *keysListCommand) Run(ctx context.Context, p *program) error {
	return withKeys(ctx, p, c.place, func(s keys.Service) error {
		list, err := s.ListKeys(ctx, auth.Operator(c.Authority))
		if err != nil {
			return err
		}
		views := make([]keyView, len(list))
		for i, k := range list {
			views[i] = viewKey(p, k)
		}
		if c.JSON {
			return p.writeJSON(views)
		}
		for _, v := range views {
			state := "live"
			if !v.Live {
				state = "ended"
			}
			fmt.Fprintf(p.stdout, "%s  %-5s  %-16s  %s  %s\n", v.ID, state, v.Role, v.CreatedAt.Format(time.DateOnly), v.Name)
		}
		return nil
	})
}

type keysRevokeCommand struct {
	place
	ID        string `arg:"" help:"Id of the key: the twelve characters after ds_."`
	Authority string `required:"" help:"Code of the authority."`
	Reason    string `help:"Reason, for the audit trail; no personal data."`
	JSON      bool   `help:"As JSON."`
}

// Run ends the key.
func (c *keysRevokeCommand) Run(ctx context.Context, p *program) error {
	return withKeys(ctx, p, c.place, func(s keys.Service) error {
		key, err := s.RevokeKey(ctx, auth.Operator(c.Authority), c.ID, c.Reason)
		if err != nil {
			return err
		}
		if c.JSON {
			return p.writeJSON(viewKey(p, key))
		}
		fmt.Fprintf(p.stdout, "%s is revoked\n", key.ID)
		return nil
	})
}

func viewKey(p *program, k keys.Key) keyView {
	return keyView{
		ID: k.ID, Authority: k.Authority, Role: k.Role, Name: k.Name, CreatedAt: k.CreatedAt,
		ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt, Live: k.Live(p.now()),
	}
}

// withPool runs body on the application's pool of the place, when its schema is current.
func withPool(ctx context.Context, p *program, at place, body func(pool *pgxpool.Pool) error) error {
	settings, err := at.settings(p)
	if err != nil {
		return err
	}
	pool, err := openCurrent(ctx, settings, "command")
	if err != nil {
		return err
	}
	defer pool.Close()
	return body(pool)
}

func withKeys(ctx context.Context, p *program, at place, body func(s keys.Service) error) error {
	return withPool(ctx, p, at, func(pool *pgxpool.Pool) error {
		return body(keys.Service{DB: postgres.DB{Pool: pool, Now: p.now}, Random: p.random})
	})
}
