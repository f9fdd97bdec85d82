package merchants

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/providers"
)

// Open returns an account with its decrypted secrets, for one call to the
// provider or one message of the provider. It also opens a disabled account,
// since late messages about earlier payments still arrive.
func (s *Service) Open(ctx context.Context, tx pgx.Tx, id ID) (Account, providers.Merchant, error) {
	return s.find(ctx, tx, id, ``)
}

func (s *Service) find(ctx context.Context, tx pgx.Tx, id ID, lock string) (Account, providers.Merchant, error) {
	var (
		a          Account
		ciphertext []byte
	)
	err := tx.QueryRow(ctx, `
		select id, authority, provider, settings, created_at, secrets from merchants.account
		where id = $1`+lock, id).
		Scan(&a.ID, &a.Authority, &a.Provider, &a.Settings, &a.CreatedAt, &ciphertext)
	if errors.Is(err, pgx.ErrNoRows) {
		return a, providers.Merchant{}, ErrNotFound
	}
	if err != nil {
		return a, providers.Merchant{}, err
	}
	text, err := s.Secret.Decrypt(ciphertext, secretsAt(id))
	if err != nil {
		return a, providers.Merchant{}, err
	}
	m := providers.Merchant{Settings: a.Settings}
	return a, m, json.Unmarshal(text, &m.Secrets)
}

// FindLive returns the live account of the transaction's authority with a provider, or ErrNoneLive.
func FindLive(ctx context.Context, tx pgx.Tx, provider string) (ID, error) {
	var id ID
	err := tx.QueryRow(ctx, `
		select id from merchants.account
		where authority = (select app.authority()) and provider = $1 and disabled_at is null`, provider).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return ID{}, ErrNoneLive
	}
	return id, err
}

// CollectingInto returns the accounts of the transaction's authority that collect straight into a bank account.
func CollectingInto(ctx context.Context, tx pgx.Tx, bankAccount string) ([]ID, error) {
	return list(ctx, tx, `settings->>'account' = $1`, bankAccount)
}

// SettledBy returns the accounts of the transaction's authority that a provider settles. An account that
// collects straight into a bank account is none of them: only the bank shows its money, and one capture
// belongs to one source. A terminal that is not empty keeps those that name the terminal in their settings.
func SettledBy(ctx context.Context, tx pgx.Tx, provider, terminal string) ([]ID, error) {
	return list(ctx, tx, `provider = $1 and settings->>'account' is null
			and ($2 = '' or exists (select from jsonb_each_text(settings) v where v.value = $2))`,
		provider, terminal)
}

// list returns accounts of the transaction's authority, disabled ones too, in order of their ids.
func list(ctx context.Context, tx pgx.Tx, condition string, args ...any) ([]ID, error) {
	rows, err := tx.Query(ctx, `
		select id from merchants.account
		where authority = (select app.authority()) and `+condition+`
		order by id`, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[ID])
}

// AuthorityOf returns the owner of an account, before any transaction is bound to an
// authority. It remembers each answer, so a repeated question costs no query.
func (s *Service) AuthorityOf(ctx context.Context, id ID) (authority string, err error) {
	if known, ok := s.authorities.Load(id); ok {
		return known.(string), nil
	}
	err = postgres.ReadTx(ctx, s.DB.Pool, "", func(tx pgx.Tx) error {
		var found *string
		if err := tx.QueryRow(ctx, `select merchants.authority_of($1)`, id).Scan(&found); err != nil {
			return err
		}
		if found == nil {
			return ErrNotFound
		}
		authority = *found
		s.authorities.Store(id, authority)
		return nil
	})
	return authority, err
}

func (s *Service) encrypt(id ID, secrets map[string][]string) ([]byte, error) {
	text, err := json.Marshal(secrets)
	if err != nil {
		return nil, err
	}
	return s.Secret.Encrypt(text, secretsAt(id))
}

func secretsAt(id ID) string { return "merchants.account/secrets/" + id.String() }
