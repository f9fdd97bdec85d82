package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/secret"
	"github.com/doisoat/doisoat/internal/world"
	"github.com/doisoat/doisoat/merchants"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/payments/callbacks"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/vnpay"
)

// The amount of every measured callback, and the contract with VNPAY.
const (
	feeDue   = 60_000
	terminal = "DVCBENCH"
	// mostPerSecond is how many payments are made ready for one second of callbacks.
	mostPerSecond = 4_000
)

// hashSecret is the secret of this run's merchant account at VNPAY.
var hashSecret = rand.Text()

// counter receives VNPAY's callbacks for pending payments.
type counter struct {
	owner       *pgxpool.Pool
	receiving   *callbacks.Service
	merchant    merchants.ID
	copied      int
	transaction atomic.Int64 // VNPAY's number of the last payment
}

// newCounter wires payments as the program does, and makes the first payment, of which copyPayments makes copies.
func (s *stage) newCounter(ctx context.Context, pool *pgxpool.Pool) (*counter, error) {
	ring, err := secret.Create(filepath.Join(s.dir, "keys.json"))
	if err != nil {
		return nil, err
	}
	all, err := world.New(world.Ground{
		Pool: pool, Secret: ring, Providers: providers.NewRegistry(vnpay.New(http.DefaultClient)),
		PublicURL: "https://thanhtoan.example.gov.vn", Now: time.Now, Random: rand.Reader,
	})
	if err != nil {
		return nil, err
	}
	all.Close() // each measurement has a group of its own
	c := &counter{owner: s.owner, receiving: all.Callbacks}
	if _, err := all.Fees.LoadFeeTypes(ctx, auth.Operator("BTC"), schedule.Catalogue().FeeTypes); err != nil {
		return nil, err
	}
	account, err := all.Merchants.Register(ctx, auth.Operator(authority), vnpay.Name, map[string]string{
		"tmn_code": terminal, "pay_url": "https://vnpay.example.vn/pay", "api_url": "https://vnpay.example.vn/api",
	}, map[string]string{"hash_secret": hashSecret})
	if err != nil {
		return nil, err
	}
	c.merchant = account.ID
	portal := auth.Actor{Authority: authority, Role: auth.RolePortal, ID: "key_bench"}
	due := int64(feeDue)
	d, _, err := all.Dossiers.Register(ctx, portal, dossiers.Registration{
		Authority: authority, Code: "H41.12-000000-0000", Agency: "H41.12", Channel: "direct", SubmittedAt: time.Now(),
		Applicant: dossiers.Applicant{Name: "Bench", Identifier: "040190001234"},
		Items:     []quote.ItemRequest{{FeeType: "LP_DKKD", Base: &due, Assessed: &quote.Assessed{Ground: "bench"}}},
	})
	if err != nil {
		return nil, err
	}
	_, _, err = all.Payments.Create(ctx, portal, d.Code, payments.Request{Provider: vnpay.Name, PayerIP: "203.113.152.1"})
	return c, err
}

// copyPayments makes n more pending payments, each of a dossier of its own, by
// copying the first. It returns their references.
func (c *counter) copyPayments(ctx context.Context, n int) ([]string, error) {
	list := [3][]uuid.UUID{} // dossiers, charges, payments
	references, codes := make([]string, n), make([]string, n)
	for i := range references {
		c.copied++
		codes[i] = fmt.Sprintf("H41.12-000000-%06d", c.copied)
		var err error
		if references[i], err = ident.NewReference(rand.Reader); err != nil {
			return nil, err
		}
		for j := range list {
			list[j] = append(list[j], uuid.Must(uuid.NewV7()))
		}
	}
	const fresh = ` from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[]) as n (dossier, charge, payment, reference, code), `
	for _, statement := range []string{
		`insert into dossiers.dossier
			select (jsonb_populate_record(d, jsonb_build_object('id', n.dossier, 'code', n.code))).*` + fresh + `dossiers.dossier d
			where d.code = 'H41.12-000000-0000'`,
		`insert into dossiers.charge
			select (jsonb_populate_record(c, jsonb_build_object('id', n.charge, 'dossier_id', n.dossier))).*` + fresh + `dossiers.dossier d
			join dossiers.charge c on c.dossier_id = d.id where d.code = 'H41.12-000000-0000'`,
		`insert into payments.payment
			select (jsonb_populate_record(p, jsonb_build_object('id', n.payment, 'dossier_id', n.dossier,
				'reference', n.reference))).*` + fresh + `dossiers.dossier d
			join payments.payment p on p.dossier_id = d.id where d.code = 'H41.12-000000-0000'`,
		`insert into payments.payment_charge
			select n.payment, n.charge, '` + authority + `', ` + strconv.Itoa(feeDue) + strings.TrimSuffix(fresh, ", "),
		`insert into payments.attempt
			select (jsonb_populate_record(a, jsonb_build_object('id', n.charge, 'payment_id', n.payment))).*` + fresh + `dossiers.dossier d
			join payments.payment p on p.dossier_id = d.id join payments.attempt a on a.payment_id = p.id where d.code = 'H41.12-000000-0000'`,
	} {
		if _, err := c.owner.Exec(ctx, statement, list[0], list[1], list[2], references, codes); err != nil {
			return nil, fmt.Errorf("copy payments: %w", err)
		}
	}
	_, err := c.owner.Exec(ctx, `analyze dossiers.dossier, dossiers.charge, payments.payment, payments.attempt`)
	return references, err
}

// callbacks delivers a signed notice for each of many payments, from so many
// deliverers at once, and expects VNPAY's "00" for each.
func (c *counter) callbacks(group *callbacks.Group, deliverers int) func(context.Context, time.Duration) (float64, error) {
	return func(ctx context.Context, d time.Duration) (float64, error) {
		c.receiving.Group = group // measurements run one after the other
		references, err := c.copyPayments(ctx, mostPerSecond*int(d/time.Second))
		if err != nil {
			return 0, err
		}
		var next atomic.Int64
		return repeat(ctx, deliverers, d, func(ctx context.Context) (int, error) {
			i := int(next.Add(1)) - 1
			if i >= len(references) {
				return 0, fmt.Errorf("more than %d callbacks a second: make more payments ready", mostPerSecond)
			}
			reply := c.receiving.Receive(ctx, vnpay.Name, c.merchant.String(), providers.RawCallback{
				Method: http.MethodGet, RawQuery: notice(references[i], c.transaction.Add(1)), ReceivedAt: time.Now(),
			})
			if !strings.Contains(string(reply.Body), `"00"`) {
				return 0, fmt.Errorf("callback answered %s", reply.Body)
			}
			return 1, nil
		})
	}
}

// notice is VNPAY's signed message that a payment was paid.
func notice(reference string, transaction int64) string {
	text := url.Values{
		"vnp_TmnCode": {terminal}, "vnp_Amount": {strconv.Itoa(feeDue * 100)}, "vnp_BankCode": {"NCB"}, "vnp_PayDate": {"20261120100100"},
		"vnp_OrderInfo": {"Nop phi ho so"}, "vnp_TransactionNo": {strconv.FormatInt(transaction, 10)}, "vnp_ResponseCode": {"00"},
		"vnp_TransactionStatus": {"00"}, "vnp_TxnRef": {reference},
	}.Encode() // sorted by name, as VNPAY signs
	mac := hmac.New(sha512.New, []byte(hashSecret))
	mac.Write([]byte(text))
	return text + "&vnp_SecureHash=" + hex.EncodeToString(mac.Sum(nil))
}
