package merchants_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/payments/paytest"
	"github.com/doisoat/doisoat/providers"
)

// Secrets are in no row of no table, and in no answer.
func TestSecretsAreSealed(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	p := d.Begin(d.Dossier(1, 60_000).Code, "vnpay")
	d.PayAt(p, nil)
	d.Must(d.Merchants.RotateSecret(t.Context(), paytest.Admin, d.VNPAY.ID, "hash_secret", "TESTONLYVNPAYHASHSECRET000000002"))
	for _, table := range d.Rows(`select format('%I.%I', schemaname, tablename) from pg_catalog.pg_tables
		where schemaname not in ('pg_catalog', 'information_schema')`) {
		for _, row := range d.Rows("select t::text from " + table + " t") {
			for _, word := range []string{paytest.HashSecret, paytest.HookSecret, "TESTONLYVNPAYHASHSECRET000000002", paytest.Payer} {
				if strings.Contains(row, word) || strings.Contains(row, hex.EncodeToString([]byte(word))) {
					t.Errorf("%s holds %q", table, word)
				}
			}
		}
	}
	list, err := d.Merchants.List(t.Context(), auth.Actor{Authority: "H41", Role: auth.RoleAuditor, ID: "key_a"})
	d.Must(err)
	if diff := cmp.Diff(list, []merchants.Account{d.VNPAY, d.Bank}); diff != "" {
		t.Errorf("accounts (-got +want):\n%s", diff)
	}
}

// Two secrets are live, so that both sides can change in their own time.
func TestRotateSecret(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	keys := []string{paytest.HashSecret, "TESTONLYVNPAYHASHSECRET000000002", "TESTONLYVNPAYHASHSECRET000000003"}
	accepted := func() (list []bool) {
		for _, key := range keys {
			list = append(list, d.Call(d.VNPAY.ID, paytest.IPN(key, paytest.Terminal, "DS234679ACDE", "1", 1, "00", "00")) == "01")
		}
		return list
	}
	got := [][]bool{accepted()}
	for _, key := range keys[1:] {
		d.Must(d.Merchants.RotateSecret(t.Context(), paytest.Admin, d.VNPAY.ID, "hash_secret", key))
		got = append(got, accepted())
	}
	if diff := cmp.Diff(got, [][]bool{{true, false, false}, {true, true, false}, {false, true, true}}); diff != "" {
		t.Errorf("accepted after each rotation (-got +want):\n%s", diff)
	}
	// The program signs its requests with the newest secret.
	d.Far.RegisterVNPAY(paytest.Terminal, keys[2], d.PublicURL+"/callbacks/vnpay/"+d.VNPAY.ID.String())
	if diff := cmp.Diff(d.PayAt(d.Begin(d.Dossier(1, 60_000).Code, "vnpay"), nil), []string{"00"}); diff != "" {
		t.Errorf("paid with the newest secret (-got +want):\n%s", diff)
	}
	for what, r := range map[string]struct {
		actor       auth.Actor
		id          merchants.ID
		name, value string
		want        error
	}{
		"unknown name": {paytest.Admin, d.VNPAY.ID, "hash_secrte", "x", providers.ErrSettings},
		"other mode":   {paytest.Admin, d.Bank.ID, "api_key", "x", providers.ErrSettings},
		"empty":        {paytest.Admin, d.VNPAY.ID, "hash_secret", "", providers.ErrSettings},
		"portal":       {paytest.Portal, d.VNPAY.ID, "hash_secret", "x", auth.ErrForbidden},
		"another authority": {
			auth.Actor{Authority: "H26", Role: auth.RoleAdmin, ID: "key_26"}, d.VNPAY.ID, "hash_secret", "x", merchants.ErrNotFound,
		},
	} {
		if err := d.Merchants.RotateSecret(t.Context(), r.actor, r.id, r.name, r.value); !errors.Is(err, r.want) {
			t.Errorf("%s: got %v, want %v", what, err, r.want)
		}
	}
}

func TestRegisterMerchantRefuses(t *testing.T) {
	t.Parallel()
	d := paytest.New(t)
	fresh := auth.Actor{Authority: "H26", Role: auth.RoleAdmin, ID: "key_26"}
	without := paytest.BankSettings()
	without["notifier"] = "nobody"
	for what, r := range map[string]struct {
		actor             auth.Actor
		provider          string
		settings, secrets map[string]string
		want              error
	}{
		"second account": {
			paytest.Admin, "vnpay", d.VNPAYSettings(paytest.Terminal), map[string]string{"hash_secret": "x"}, merchants.ErrExists,
		},
		"no secret":        {fresh, "vnpay", d.VNPAYSettings(paytest.Terminal), nil, providers.ErrSettings},
		"no terminal":      {fresh, "vnpay", d.VNPAYSettings(""), map[string]string{"hash_secret": "x"}, providers.ErrSettings},
		"no notice secret": {fresh, "vietqr", paytest.BankSettings(), nil, providers.ErrSettings},
		"both modes": {
			fresh, "vietqr", paytest.BankSettings(), map[string]string{"webhook_secret": "x", "api_key": "y"}, providers.ErrSettings,
		},
		"unknown notifier": {fresh, "vietqr", without, map[string]string{"webhook_secret": "x"}, providers.ErrSettings},
		"unknown provider": {fresh, "momo", nil, nil, providers.ErrProviderNotFound},
		"portal": {
			paytest.Portal, "vnpay", d.VNPAYSettings(paytest.Terminal), map[string]string{"hash_secret": "x"}, auth.ErrForbidden,
		},
	} {
		if _, err := d.Merchants.Register(t.Context(), r.actor, r.provider, r.settings, r.secrets); !errors.Is(err, r.want) {
			t.Errorf("%s: got %v, want %v", what, err, r.want)
		}
	}
	if got := d.Rows(`select count(*)::text from merchants.account`); got[0] != "2" {
		t.Errorf("accounts: got %s, want 2", got[0])
	}
}
