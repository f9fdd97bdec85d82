package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/fees"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/postgres"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/sepay"
	"github.com/doisoat/doisoat/providers/simulator"
	"github.com/doisoat/doisoat/providers/vietqr"
	"github.com/doisoat/doisoat/providers/vnpay"
	"github.com/doisoat/doisoat/reconcile"
)

// The demo. firstAuthority is whose keys stand first in dev.json; nationalFees
// records the fee types that hold everywhere.
const (
	firstAuthority = "H41"
	nationalFees   = "BTC"
	demoKeyName    = "dev"
	demoBIN        = "970436"
)

// demo plants what dev starts with. Everything in it may run again: what is
// there stays, what is missing is made.
type demo struct {
	rooms     rooms
	pool      *pgxpool.Pool
	random    io.Reader
	api       string
	simulator string
	previous  map[string]authorityAccount
}

// plant loads norms, accounts and keys of every demo province, and makes the
// far side know the same accounts.
func (d demo) plant(ctx context.Context, far *simulator.Simulator) (map[string]authorityAccount, error) {
	if err := d.norms(ctx); err != nil {
		return nil, err
	}
	list, err := d.rooms.auth.ListAuthorities(ctx)
	if err != nil {
		return nil, err
	}
	accounts := map[string]authorityAccount{}
	for _, a := range list {
		if a.Level != "province" {
			continue
		}
		account := authorityAccount{Name: a.Name}
		if account.Merchants, err = d.merchants(ctx, a.Code, far); err != nil {
			return nil, fmt.Errorf("merchant accounts of %s: %w", a.Code, err)
		}
		if err := d.sources(ctx, a.Code, account.Merchants); err != nil {
			return nil, fmt.Errorf("sources of %s: %w", a.Code, err)
		}
		if account.Keys, err = d.keys(ctx, a.Code); err != nil {
			return nil, fmt.Errorf("keys of %s: %w", a.Code, err)
		}
		accounts[a.Code] = account
	}
	return accounts, nil
}

// norms loads the national fee types and every demo policy under its own authority.
func (d demo) norms(ctx context.Context) error {
	file, err := fees.ParseFile(fees.DemoPolicies())
	if err != nil {
		return err
	}
	if _, err := d.rooms.fees.LoadFeeTypes(ctx, auth.Operator(nationalFees), file.AllFeeTypes()); err != nil {
		return fmt.Errorf("fee types: %w", err)
	}
	for _, owner := range file.Owners() {
		if _, err := d.rooms.fees.LoadPolicies(ctx, auth.Operator(owner), file.OwnedBy(owner)); err != nil {
			return fmt.Errorf("policies of %s: %w", owner, err)
		}
	}
	return nil
}

// merchants makes the authority's accounts at VNPAY and at the bank and tells
// the simulator of them: it keeps no secret over a restart.
func (d demo) merchants(ctx context.Context, authority string, far *simulator.Simulator) (map[string]merchantManifest, error) {
	terminal, account := "DOISO"+authority, "1000"+authority[1:]+"000001"
	online, err := d.merchant(ctx, authority, vnpay.Name, "hash_secret", map[string]string{
		"tmn_code": terminal, "pay_url": d.simulator + simulator.PayPath, "api_url": d.simulator + simulator.APIPath,
	})
	if err != nil {
		return nil, err
	}
	transfer, err := d.merchant(ctx, authority, vietqr.Name, "webhook_secret", map[string]string{
		"bank_bin": demoBIN, "bank_name": vietqr.BankName(demoBIN), "account": account,
		"account_name": "THU PHI LE PHI " + authority, "notifier": sepay.Name,
	})
	if err != nil {
		return nil, err
	}
	far.RegisterVNPAY(terminal, online.secret, d.api+"/callbacks/"+vnpay.Name+"/"+online.id.String())
	far.RegisterBank(account, demoBIN, d.api+"/callbacks/"+sepay.Name+"/"+transfer.id.String(), transfer.secret, "")
	far.SetPayoutAccount(terminal, account)
	return map[string]merchantManifest{
		vnpay.Name:  {ID: online.id.String(), TmnCode: terminal},
		vietqr.Name: {ID: transfer.id.String(), Account: account},
	}, nil
}

// sources are where the statements of both accounts come from.
func (d demo) sources(ctx context.Context, authority string, accounts map[string]merchantManifest) error {
	for _, r := range []reconcile.SourceRequest{
		{
			Code: "vnpay", Kind: reconcile.SettlementSource, Provider: vnpay.Name, Account: accounts[vnpay.Name].TmnCode,
			Profile: "vnpay-settlement-v1",
		},
		{Code: "bank", Kind: reconcile.BankSource, Account: accounts[vietqr.Name].Account},
	} {
		if _, _, err := d.rooms.reconcile.RegisterSource(ctx, auth.Operator(authority), r); err != nil {
			return fmt.Errorf("%s: %w", r.Code, err)
		}
	}
	return nil
}

type plantedMerchant struct {
	id     payments.MerchantID
	secret string
}

// merchant finds the authority's account, brings its settings up to date, or
// registers it with a secret drawn now.
func (d demo) merchant(ctx context.Context, authority, provider, secretName string, settings map[string]string) (plantedMerchant, error) {
	operator := auth.Operator(authority)
	list, err := d.rooms.payments.ListMerchants(ctx, operator)
	if err != nil {
		return plantedMerchant{}, err
	}
	for _, m := range list {
		if m.Provider != provider {
			continue
		}
		if !maps.Equal(m.Settings, settings) { // another port of the simulator
			if err := d.rooms.payments.ChangeSettings(ctx, operator, m.ID, settings); err != nil {
				return plantedMerchant{}, err
			}
		}
		secret, err := d.secret(ctx, authority, m.ID, secretName)
		return plantedMerchant{m.ID, secret}, err
	}
	raw := make([]byte, 24)
	if _, err := io.ReadFull(d.random, raw); err != nil {
		return plantedMerchant{}, fmt.Errorf("draw secret: %w", err)
	}
	secret := hex.EncodeToString(raw)
	m, err := d.rooms.payments.RegisterMerchant(ctx, operator, provider, settings, map[string]string{secretName: secret})
	return plantedMerchant{m.ID, secret}, err
}

// secret opens a merchant's newest secret for the simulator, the other side of the account.
func (d demo) secret(ctx context.Context, authority string, id payments.MerchantID, name string) (string, error) {
	var m providers.Merchant
	err := postgres.ReadTx(ctx, d.pool, authority, func(tx pgx.Tx) (err error) {
		m, err = d.rooms.payments.Merchant(ctx, tx, id)
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

// keys returns a key for every role. Keys of the start before stay as long as
// they sign in; one whose text is lost is revoked and made anew.
func (d demo) keys(ctx context.Context, authority string) (map[auth.Role]string, error) {
	texts := map[auth.Role]string{}
	for _, role := range auth.KeyRoles() {
		text := d.previous[authority].Keys[role]
		actor, err := d.rooms.auth.Authenticate(ctx, text)
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

func (d demo) newKey(ctx context.Context, authority string, role auth.Role) (string, error) {
	operator := auth.Operator(authority)
	list, err := d.rooms.keys.ListKeys(ctx, operator)
	if err != nil {
		return "", err
	}
	for _, k := range list {
		if k.Role == role && k.Name == demoKeyName && k.RevokedAt == nil {
			if _, err := d.rooms.keys.RevokeKey(ctx, operator, k.ID, "the text of the key was lost"); err != nil {
				return "", err
			}
		}
	}
	text, _, err := d.rooms.keys.CreateKey(ctx, operator, role, demoKeyName, time.Time{})
	return text, err
}
