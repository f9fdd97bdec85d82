package merchants

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/doisoat/doisoat/internal/audit"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/providers"
)

// Account is an authority's account with a provider. It holds no secret.
type Account struct {
	ID        ID                `db:"id"`
	Authority string            `db:"authority"`
	Provider  string            `db:"provider"`
	Settings  map[string]string `db:"settings"`
	CreatedAt time.Time         `db:"created_at"`
}

// Register keeps an authority's account with a provider and encrypts its
// secrets. A second live account with the same provider is ErrExists.
func (s *Service) Register(ctx context.Context, actor auth.Actor, provider string, settings, secrets map[string]string) (Account, error) {
	if err := auth.Require(actor, auth.PermMerchantWrite); err != nil {
		return Account{}, err
	}
	p, err := providers.Find[providers.Provider](s.Providers, provider)
	if err != nil {
		return Account{}, err
	}
	live := make(map[string][]string, len(secrets))
	for name, value := range secrets {
		live[name] = []string{value}
	}
	if err := s.checkMerchant(p, providers.Merchant{Settings: settings, Secrets: live}); err != nil {
		return Account{}, err
	}
	m := Account{
		ID: ident.New[kind](), Authority: actor.Authority, Provider: provider, Settings: settings,
	}
	ciphertext, err := s.encrypt(m.ID, live)
	if err != nil {
		return Account{}, err
	}
	err = postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		m.CreatedAt = act.Now
		_, err := act.Exec(ctx, `
			insert into merchants.account (id, authority, provider, settings, secrets, created_at, created_by)
			values ($1, $2, $3, $4, $5, $6, $7)`, m.ID, m.Authority, provider, settings, ciphertext, m.CreatedAt, actor.ID)
		if err != nil {
			return err
		}
		return audit.Record(ctx, act, audit.Event{
			Actor: actor, At: m.CreatedAt, Act: "merchant.register", ObjectKind: "merchant_account", ObjectID: m.ID.String(),
			After: map[string]any{"provider": provider},
		})
	})
	if postgres.Constraint(err) == "merchant_account_one_live" {
		return Account{}, ErrExists
	}
	return m, err
}

// RotateSecret adds a newest value of a secret; the one before it stays valid,
// older ones are dropped, so that both sides can change in their own time.
func (s *Service) RotateSecret(ctx context.Context, actor auth.Actor, id ID, name, value string) error {
	if err := auth.Require(actor, auth.PermMerchantWrite); err != nil {
		return err
	}
	return postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		account, merchant, err := s.find(ctx, act, id, ` for update`)
		if err != nil {
			return err
		}
		if value == "" || len(merchant.Secrets[name]) == 0 {
			return providers.ErrSettings.At("/secrets/"+name, "must be a new value of a secret that the account has")
		}
		merchant.Secrets[name] = append([]string{value}, merchant.Secrets[name]...)
		if len(merchant.Secrets[name]) > 2 {
			merchant.Secrets[name] = merchant.Secrets[name][:2]
		}
		p, err := providers.Find[providers.Provider](s.Providers, account.Provider)
		if err != nil {
			return err
		}
		if err := s.checkMerchant(p, merchant); err != nil {
			return err
		}
		ciphertext, err := s.encrypt(id, merchant.Secrets)
		if err != nil {
			return err
		}
		if _, err := act.Exec(ctx, `update merchants.account set secrets = $2 where id = $1`, id, ciphertext); err != nil {
			return err
		}
		return audit.Record(ctx, act, audit.Event{
			Actor: actor, At: act.Now, Act: "merchant.rotate_secret", ObjectKind: "merchant_account", ObjectID: id.String(),
			After: map[string]any{"secret": name},
		})
	})
}

// checkMerchant asks the provider whether settings and secrets are complete. It also asks the
// notifier that reports in the provider's place.
func (s *Service) checkMerchant(p providers.Provider, m providers.Merchant) error {
	if err := p.CheckMerchant(m); err != nil {
		return err
	}
	notifier := m.Settings["notifier"]
	if notifier == "" || notifier == p.Name() {
		return nil
	}
	n, err := providers.Find[providers.CallbackReceiver](s.Providers, notifier)
	if err != nil {
		return providers.ErrSettings.At("/settings/notifier", "must be a provider that sends notices")
	}
	return n.CheckMerchant(m)
}

// ChangeSettings replaces the settings of an account, for example after the provider moved its
// addresses. The caller should keep the setting that names the account at the provider, because
// live payments refer to it.
func (s *Service) ChangeSettings(ctx context.Context, actor auth.Actor, id ID, settings map[string]string) error {
	if err := auth.Require(actor, auth.PermMerchantWrite); err != nil {
		return err
	}
	return postgres.InTx(ctx, s.DB, actor, func(act postgres.Act) error {
		account, merchant, err := s.find(ctx, act, id, ` for update`)
		if err != nil {
			return err
		}
		p, err := providers.Find[providers.Provider](s.Providers, account.Provider)
		if err != nil {
			return err
		}
		if err := s.checkMerchant(p, providers.Merchant{Settings: settings, Secrets: merchant.Secrets}); err != nil {
			return err
		}
		if _, err := act.Exec(ctx, `update merchants.account set settings = $2 where id = $1`, id, settings); err != nil {
			return err
		}
		return audit.Record(ctx, act, audit.Event{
			Actor: actor, At: act.Now, Act: "merchant.change_settings", ObjectKind: "merchant_account", ObjectID: id.String(),
			Before: map[string]any{"settings": account.Settings}, After: map[string]any{"settings": settings},
		})
	})
}

// List returns the live accounts of the actor's authority, without secrets.
func (s *Service) List(ctx context.Context, actor auth.Actor) (list []Account, err error) {
	if err := auth.Require(actor, auth.PermMerchantRead); err != nil {
		return nil, err
	}
	err = postgres.ReadTx(ctx, s.DB.Pool, actor.Authority, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			select id, authority, provider, settings, created_at from merchants.account
			where disabled_at is null order by created_at, id`)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, pgx.RowToStructByName[Account])
		return err
	})
	return list, err
}
