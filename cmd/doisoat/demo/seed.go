package demo

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/auth/keys"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/internal/world"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/sepay"
	"github.com/doisoat/doisoat/providers/simulator/farsides"
	"github.com/doisoat/doisoat/providers/vietqr"
	"github.com/doisoat/doisoat/providers/vnpay"
	"github.com/doisoat/doisoat/statements"
)

// The demo. The keys of FirstAuthority stand first in dev.json; nationalFees records the fee types
// of the whole country.
const (
	FirstAuthority = "H41"
	nationalFees   = "BTC"
	KeyName        = "dev"
	demoBIN        = "970436"
)

// DaysBack reaches back to 2016-01-01 and a day further for a demo that runs over
// midnight: the story of the demo begins on 2023-11-07, and its fees by law before.
func DaysBack(now time.Time) int {
	return int(now.Sub(time.Date(2016, 1, 1, 0, 0, 0, 0, time.UTC)).Hours()/24) + 2
}

// Seeds plants the data of a fresh dev. Planting may run again: existing rows stay as they are,
// missing rows are added, and nothing is revoked. Only one thing changes: the provider's addresses
// of an account that dev registered itself.
type Seeds struct {
	Rooms     world.World
	Pool      *pgxpool.Pool
	Mark      *Mark
	Random    io.Reader
	API       string
	Simulator string
	Previous  map[string]Authority
	Notes     []string // existing rows that differ from the demo
}

// Plant loads norms, accounts and keys of every demo province, and makes the
// far side know the same accounts.
func (d *Seeds) Plant(ctx context.Context, far *farsides.Simulator) (map[string]Authority, error) {
	if err := d.norms(ctx); err != nil {
		return nil, err
	}
	list, err := d.Rooms.Auth.ListAuthorities(ctx)
	if err != nil {
		return nil, err
	}
	accounts := map[string]Authority{}
	for _, a := range list {
		if a.Level != "province" {
			continue
		}
		account := Authority{Name: a.Name}
		if account.Merchants, err = d.merchants(ctx, a.Code, far); err != nil {
			return nil, fmt.Errorf("merchant accounts of %s: %w", a.Code, err)
		}
		if account.Keys, err = d.keys(ctx, a.Code); err != nil {
			return nil, fmt.Errorf("keys of %s: %w", a.Code, err)
		}
		accounts[a.Code] = account
	}
	return accounts, nil
}

// norms loads the national fee types and every demo policy under its own
// authority. A code or id that is recorded already keeps its version.
func (d *Seeds) norms(ctx context.Context) error {
	file, err := schedule.ParseFile(schedule.DemoPolicies())
	if err != nil {
		return err
	}
	national := auth.Operator(nationalFees)
	recorded, err := d.Rooms.Fees.ListFeeTypes(ctx, national, schedule.Everywhere)
	if err != nil {
		return fmt.Errorf("fee types: %w", err)
	}
	missing := slices.DeleteFunc(file.AllFeeTypes(), func(f schedule.FeeType) bool {
		return slices.ContainsFunc(recorded, func(r schedule.FeeType) bool { return r.Code == f.Code })
	})
	if len(missing) > 0 {
		if _, err := d.Rooms.Fees.LoadFeeTypes(ctx, national, missing); err != nil {
			return fmt.Errorf("fee types: %w", err)
		}
	}
	for _, owner := range file.Owners() {
		if err := d.policies(ctx, auth.Operator(owner), file.OwnedBy(owner)); err != nil {
			return fmt.Errorf("policies of %s: %w", owner, err)
		}
	}
	return nil
}

// policies loads the policies of the list that are not recorded yet.
func (d *Seeds) policies(ctx context.Context, operator auth.Actor, list []schedule.Policy) error {
	var missing []schedule.Policy
	for _, policy := range list {
		switch _, err := d.Rooms.Fees.FindPolicy(ctx, operator, policy.ID); {
		case errors.Is(err, fees.ErrNotFound):
			missing = append(missing, policy)
		case err != nil:
			return err
		}
	}
	if len(missing) == 0 {
		return nil
	}
	_, err := d.Rooms.Fees.LoadPolicies(ctx, operator, missing)
	return err
}

// merchants finds or registers the authority's accounts at VNPAY and at the bank. It registers at
// the simulator only the accounts that dev planted, at every start, because the simulator keeps no
// secret over a restart.
func (d *Seeds) merchants(ctx context.Context, authority string, far *farsides.Simulator) (map[string]Merchant, error) {
	terminal, account := "DOISO"+authority, "1000"+authority[1:]+"000001"
	online, err := d.merchant(ctx, authority, plan{
		provider: vnpay.Name, named: "tmn_code", secret: "hash_secret", follow: []string{"pay_url", "api_url"},
		settings: map[string]string{
			"tmn_code": terminal, "pay_url": d.Simulator + farsides.PayPath, "api_url": d.Simulator + farsides.APIPath,
		},
		source: statements.SourceRequest{
			Code: "vnpay", Kind: statements.SettlementSource, Provider: vnpay.Name, Account: terminal, Profile: "vnpay-settlement-v1",
		},
	})
	if err != nil {
		return nil, err
	}
	transfer, err := d.merchant(ctx, authority, plan{
		provider: vietqr.Name, named: "account", secret: "webhook_secret",
		settings: map[string]string{
			"bank_bin": demoBIN, "bank_name": vietqr.BankName(demoBIN), "account": account,
			"account_name": "THU PHI LE PHI " + authority, "notifier": sepay.Name,
		},
		source: statements.SourceRequest{Code: "bank", Kind: statements.BankSource, Account: account},
	})
	if err != nil {
		return nil, err
	}
	if online.planted {
		far.RegisterVNPAY(terminal, online.secret, d.API+"/callbacks/"+vnpay.Name+"/"+online.ID.String())
	}
	if transfer.planted {
		far.RegisterBank(account, demoBIN, d.API+"/callbacks/"+sepay.Name+"/"+transfer.ID.String(), transfer.secret, "")
	}
	if online.planted && transfer.planted {
		far.SetPayoutAccount(terminal, account)
	}
	return map[string]Merchant{
		vnpay.Name:  {ID: online.ID.String(), TmnCode: online.Settings["tmn_code"]},
		vietqr.Name: {ID: transfer.ID.String(), Account: transfer.Settings["account"]},
	}, nil
}

// plan is an account of the demo.
type plan struct {
	provider string
	settings map[string]string
	named    string   // the setting that names the account at its provider
	secret   string   // the secret that the simulator must know too
	follow   []string // settings that hold the simulator's address
	source   statements.SourceRequest
}

// mark is the name of a planned account in the mark.
func (l plan) mark(authority string) string {
	return authority + "/" + l.provider + "/" + l.settings[l.named]
}

// account is a merchant account as planting found or made it.
type account struct {
	merchants.Account

	planted bool   // dev registered the account
	secret  string // of a planted account only
}

// merchant finds the authority's account, or registers one with a secret drawn
// now. An account that dev did not plant stays as it is, its secret stays
// encrypted, and a note says so.
func (d *Seeds) merchant(ctx context.Context, authority string, l plan) (account, error) {
	operator := auth.Operator(authority)
	list, err := d.Rooms.Merchants.List(ctx, operator)
	if err != nil {
		return account{}, err
	}
	i := slices.IndexFunc(list, func(m merchants.Account) bool { return m.Provider == l.provider })
	switch {
	case i < 0:
		return d.register(ctx, operator, l)
	case !d.Mark.has(l.mark(authority)) || list[i].Settings[l.named] != l.settings[l.named]:
		d.Notes = append(
			d.Notes,
			fmt.Sprintf("the %s account %q of %s stays as it is: dev did not register it, and the simulator does not know it",
				l.provider, list[i].Settings[l.named], authority),
		)
		return account{Account: list[i]}, nil
	}
	found := account{Account: list[i], planted: true}
	if err := d.followSimulator(ctx, operator, &found, l); err != nil {
		return account{}, err
	}
	if found.secret, err = d.secret(ctx, authority, found.ID, l.secret); err != nil {
		return account{}, err
	}
	return found, d.source(ctx, operator, l.source)
}

// register makes the planned account and the source of its statements.
func (d *Seeds) register(ctx context.Context, operator auth.Actor, l plan) (account, error) {
	raw := make([]byte, 24)
	if _, err := io.ReadFull(d.Random, raw); err != nil {
		return account{}, fmt.Errorf("draw secret: %w", err)
	}
	if err := d.Mark.record(ctx, l.mark(operator.Authority)); err != nil {
		return account{}, err
	}
	made := account{planted: true, secret: hex.EncodeToString(raw)}
	var err error
	made.Account, err = d.Rooms.Merchants.Register(ctx, operator, l.provider, l.settings,
		map[string]string{l.secret: made.secret})
	if err != nil {
		return account{}, err
	}
	return made, d.source(ctx, operator, l.source)
}

// followSimulator gives a planted account the simulator's address of this
// start; all other settings stay.
func (d *Seeds) followSimulator(ctx context.Context, operator auth.Actor, found *account, l plan) error {
	settings := maps.Clone(found.Settings)
	for _, name := range l.follow {
		settings[name] = l.settings[name]
	}
	if maps.Equal(settings, found.Settings) {
		return nil
	}
	found.Settings = settings
	return d.Rooms.Merchants.ChangeSettings(ctx, operator, found.ID, settings)
}

// source registers where the statements of an account come from. A source
// that covers the account already stays, and a note says so.
func (d *Seeds) source(ctx context.Context, operator auth.Actor, r statements.SourceRequest) error {
	_, _, err := d.Rooms.Statements.RegisterSource(ctx, operator, r)
	if errors.Is(err, statements.ErrSourceExists) || errors.Is(err, statements.ErrSourceOverlaps) {
		d.Notes = append(d.Notes, fmt.Sprintf("the source %q of %s stays as it is: it differs from the demo", r.Code, operator.Authority))
		return nil
	}
	if err != nil {
		return fmt.Errorf("source %s: %w", r.Code, err)
	}
	return nil
}

// secret decrypts the newest secret of a planted account for the simulator,
// the other side of the account.
func (d *Seeds) secret(ctx context.Context, authority string, id merchants.ID, name string) (string, error) {
	var m providers.Merchant
	err := postgres.ReadTx(ctx, d.Pool, authority, func(tx pgx.Tx) (err error) {
		_, m, err = d.Rooms.Merchants.Open(ctx, tx, id)
		return err
	})
	if err != nil {
		return "", err
	}
	if len(m.Secrets[name]) == 0 {
		return "", errors.New("the merchant account has no secret " + name)
	}
	return m.Secrets[name][0], nil
}

// keys returns a key for every role. Keys of an earlier start stay as long as
// they sign in. A role without such a key gets a further key; none is revoked.
func (d *Seeds) keys(ctx context.Context, authority string) (map[auth.Role]string, error) {
	texts := map[auth.Role]string{}
	for _, role := range auth.KeyRoles() {
		text := d.Previous[authority].Keys[role]
		actor, err := d.Rooms.Auth.Authenticate(ctx, text)
		if err == nil && actor.Authority == authority && actor.Role == role {
			texts[role] = text
			continue
		}
		if err != nil && !errors.Is(err, auth.ErrUnauthenticated) {
			return nil, err
		}
		if texts[role], err = d.newKey(ctx, authority, role); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// newKey adds a key under the first name that has room for one more.
func (d *Seeds) newKey(ctx context.Context, authority string, role auth.Role) (string, error) {
	name := KeyName
	for i := 2; ; i++ {
		text, _, err := d.Rooms.Keys.CreateKey(ctx, auth.Operator(authority), role, name, time.Time{})
		if !errors.Is(err, keys.ErrTooMany) {
			return text, err
		}
		name = fmt.Sprintf("%s %d", KeyName, i)
	}
}
