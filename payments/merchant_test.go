package payments_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/providers"
)

// Secrets are in no row of no table, and in no answer.
func TestSecretsAreSealed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := d.create(d.dossier(1, 60_000).Code, "vnpay")
	d.pay(p, nil)
	d.must(d.RotateSecret(t.Context(), admin, d.vnpay.ID, "hash_secret", "TESTONLYVNPAYHASHSECRET000000002"))
	for _, table := range d.rows(`select format('%I.%I', schemaname, tablename) from pg_catalog.pg_tables
		where schemaname not in ('pg_catalog', 'information_schema')`) {
		for _, row := range d.rows("select t::text from " + table + " t") {
			for _, word := range []string{hashSecret, hookSecret, "TESTONLYVNPAYHASHSECRET000000002", payer} {
				if strings.Contains(row, word) || strings.Contains(row, hex.EncodeToString([]byte(word))) {
					t.Errorf("%s holds %q", table, word)
				}
			}
		}
	}
	list, err := d.ListMerchants(t.Context(), auth.Actor{Authority: "H41", Role: auth.RoleAuditor, ID: "key_a"})
	d.must(err)
	if diff := cmp.Diff(list, []payments.MerchantAccount{d.vnpay, d.bank}); diff != "" {
		t.Errorf("accounts (-got +want):\n%s", diff)
	}
}

// Two secrets are live, so that both sides can change in their own time.
func TestRotateSecret(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	keys := []string{hashSecret, "TESTONLYVNPAYHASHSECRET000000002", "TESTONLYVNPAYHASHSECRET000000003"}
	accepted := func() (list []bool) {
		for _, key := range keys {
			list = append(list, d.call(d.vnpay.ID, ipn(key, terminal, "DS234679ACDE", "1", 1, "00", "00")) == "01")
		}
		return list
	}
	got := [][]bool{accepted()}
	for _, key := range keys[1:] {
		d.must(d.RotateSecret(t.Context(), admin, d.vnpay.ID, "hash_secret", key))
		got = append(got, accepted())
	}
	if diff := cmp.Diff(got, [][]bool{{true, false, false}, {true, true, false}, {false, true, true}}); diff != "" {
		t.Errorf("accepted after each rotation (-got +want):\n%s", diff)
	}
	// What we send is signed with the newest.
	d.sim.RegisterVNPAY(terminal, keys[2], d.PublicURL+"/callbacks/vnpay/"+d.vnpay.ID.String())
	if diff := cmp.Diff(d.pay(d.create(d.dossier(1, 60_000).Code, "vnpay"), nil), []string{"00"}); diff != "" {
		t.Errorf("paid with the newest secret (-got +want):\n%s", diff)
	}
	for what, r := range map[string]struct {
		actor       auth.Actor
		id          payments.MerchantID
		name, value string
		want        error
	}{
		"unknown name": {admin, d.vnpay.ID, "hash_secrte", "x", providers.ErrSettings},
		"other mode":   {admin, d.bank.ID, "api_key", "x", providers.ErrSettings},
		"empty":        {admin, d.vnpay.ID, "hash_secret", "", providers.ErrSettings},
		"portal":       {portal, d.vnpay.ID, "hash_secret", "x", auth.ErrForbidden},
		"another authority": {
			auth.Actor{Authority: "H26", Role: auth.RoleAdmin, ID: "key_26"}, d.vnpay.ID, "hash_secret", "x", payments.ErrMerchantNotFound,
		},
	} {
		if err := d.RotateSecret(t.Context(), r.actor, r.id, r.name, r.value); !errors.Is(err, r.want) {
			t.Errorf("%s: got %v, want %v", what, err, r.want)
		}
	}
}

func TestRegisterMerchantRefuses(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	fresh := auth.Actor{Authority: "H26", Role: auth.RoleAdmin, ID: "key_26"}
	without := bankSettings()
	without["notifier"] = "nobody"
	for what, r := range map[string]struct {
		actor             auth.Actor
		provider          string
		settings, secrets map[string]string
		want              error
	}{
		"second account":   {admin, "vnpay", d.vnpaySettings(terminal), map[string]string{"hash_secret": "x"}, payments.ErrMerchantExists},
		"no secret":        {fresh, "vnpay", d.vnpaySettings(terminal), nil, providers.ErrSettings},
		"no terminal":      {fresh, "vnpay", d.vnpaySettings(""), map[string]string{"hash_secret": "x"}, providers.ErrSettings},
		"no notice secret": {fresh, "vietqr", bankSettings(), nil, providers.ErrSettings},
		"both modes": {
			fresh, "vietqr", bankSettings(), map[string]string{"webhook_secret": "x", "api_key": "y"}, providers.ErrSettings,
		},
		"unknown notifier": {fresh, "vietqr", without, map[string]string{"webhook_secret": "x"}, providers.ErrSettings},
		"unknown provider": {fresh, "momo", nil, nil, providers.ErrUnknownProvider},
		"portal":           {portal, "vnpay", d.vnpaySettings(terminal), map[string]string{"hash_secret": "x"}, auth.ErrForbidden},
	} {
		if _, err := d.RegisterMerchant(t.Context(), r.actor, r.provider, r.settings, r.secrets); !errors.Is(err, r.want) {
			t.Errorf("%s: got %v, want %v", what, err, r.want)
		}
	}
	if got := d.rows(`select count(*)::text from payments.merchant_account`); got[0] != "2" {
		t.Errorf("accounts: got %s, want 2", got[0])
	}
}
