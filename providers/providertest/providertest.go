// Package providertest is the suite that every provider passes, played over
// real HTTP against the provider's far side.
//
// The package owns no data and names no provider: a provider's tests pass a
// Harness per subtest. The suite proves that
//   - a paid checkout arrives as one verified event with our reference and amount;
//   - the provider refuses a changed message;
//   - a repeated message has the same event id;
//   - a call without a clear answer gives Unknown and no error;
//   - the outcome of a refund is the far side's word, never a guess.
package providertest

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/doisoat/doisoat/internal/ident"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/providers"
)

// Harness joins a provider to its far side. The suite skips a nil capability.
type Harness struct {
	Checkout providers.Checkouter
	Receiver providers.CallbackReceiver // reads the callbacks; for bank transfers another provider
	Inquirer providers.Inquirer
	Refunder providers.Refunder

	Merchant providers.Merchant
	Inbox    *Inbox
	Script   Script
	Fault    string // the provider's word in Script.Fault

	// Tamper changes only the amount in a signed message.
	Tamper func(providers.RawCallback) providers.RawCallback
	// NotifiesFailure is true when the far side also sends callbacks of failed payments.
	NotifiesFailure bool
	// Patience ends a call to a far side that hangs.
	Patience time.Duration

	ahead *time.Duration // by which the scene has moved the far side's clock
}

// now returns the time of the far side's clock. The suite uses this clock for both sides.
func (h Harness) now() time.Time { return time.Now().Add(*h.ahead) }

func (h Harness) advance(t *testing.T, by time.Duration) {
	t.Helper()
	h.Script.Advance(t, by)
	*h.ahead += by
}

// amount is the amount of every checkout in the suite.
var amount = money.Dong(60_000)

// Run plays all scenes. Each scene gets its own far side.
func Run(t *testing.T, far func(t *testing.T) Harness) {
	t.Helper()
	for name, scene := range map[string]func(*testing.T, Harness){
		"paid":            paid,
		"failed":          failed,
		"delivered twice": deliveredTwice,
		"tampered":        tampered,
		"second secret":   secondSecret,
		"inquiry":         inquiry,
		"refund":          refund,
		"refund troubles": refundTroubles,
		"unreachable":     unreachable,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := far(t)
			h.ahead = new(time.Duration)
			scene(t, h)
		})
	}
}

// order is one checkout with its request.
type order struct {
	request  providers.CheckoutRequest
	checkout providers.Checkout
}

func (h Harness) order(t *testing.T) order {
	t.Helper()
	reference, err := ident.NewReference(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := h.now()
	r := providers.CheckoutRequest{
		Reference: reference, Amount: amount, Description: "Lệ phí hồ sơ (đợt 1)", Locale: "vi", PayerIP: "203.113.152.1",
		ReturnURL: "https://dvc.example.gov.vn/ket-qua?ma=1", CreatedAt: now, ExpiresAt: now.Add(15 * time.Minute),
	}
	c, err := h.Checkout.Checkout(t.Context(), h.Merchant, r)
	if err != nil {
		t.Fatalf("Checkout: %v", err)
	}
	return order{r, c}
}

// only returns the one message that arrived.
func (h Harness) only(t *testing.T) providers.RawCallback {
	t.Helper()
	messages := h.Inbox.Messages()
	if len(messages) != 1 {
		t.Fatalf("got %d callbacks, want 1", len(messages))
	}
	return messages[0]
}

func (h Harness) read(t *testing.T, c providers.RawCallback) providers.Event {
	t.Helper()
	if err := h.Receiver.Verify(h.Merchant, c); err != nil {
		t.Fatalf("Verify: %v", err)
	}
	event, err := h.Receiver.Translate(h.Merchant, c)
	if err != nil {
		t.Fatalf("Translate: %v", err)
	}
	return event
}

// gist holds the members that are comparable between the events of all providers.
type gist struct {
	Reference string
	Outcome   providers.Outcome
	Amount    money.Amount
	HasID     bool
	HasMoney  bool // a transaction id
	Recent    bool
}

func gistOf(e providers.Event) gist {
	age := time.Since(e.OccurredAt)
	return gist{e.Reference, e.Outcome, e.Amount, e.ID != "", e.TransactionID != "", age > -time.Minute && age < time.Minute}
}

func paid(t *testing.T, h Harness) {
	o := h.order(t)
	for i, reply := range h.Script.Pay(t, o.checkout, "paid", "deliver") {
		if !reply.Accepted {
			t.Errorf("reply %d: got %d %s, want one that the far side accepts", i, reply.Status, reply.Body)
		}
	}
	got := gistOf(h.read(t, h.only(t)))
	if diff := cmp.Diff(got, gist{o.request.Reference, providers.Succeeded, amount, true, true, true}); diff != "" {
		t.Errorf("event (-got +want):\n%s", diff)
	}
}

func failed(t *testing.T, h Harness) {
	if !h.NotifiesFailure {
		t.Skip("the far side does not tell of failed payments")
	}
	for _, outcome := range []string{"failed", "cancelled"} {
		before := len(h.Inbox.Messages())
		o := h.order(t)
		h.Script.Pay(t, o.checkout, outcome, "deliver")
		messages := h.Inbox.Messages()[before:]
		if len(messages) != 1 {
			t.Fatalf("%s: got %d callbacks, want 1", outcome, len(messages))
		}
		event := h.read(t, messages[0])
		if event.Outcome != providers.Declined || event.Reference != o.request.Reference {
			t.Errorf("%s: got %s of %q, want declined of %q", outcome, event.Outcome, event.Reference, o.request.Reference)
		}
	}
}

func deliveredTwice(t *testing.T, h Harness) {
	o := h.order(t)
	replies := h.Script.Pay(t, o.checkout, "paid", "twice")
	messages := h.Inbox.Messages()
	if len(messages) != 2 || len(replies) != 2 {
		t.Fatalf("got %d callbacks and %d replies, want 2 of each", len(messages), len(replies))
	}
	if diff := cmp.Diff(h.read(t, messages[0]), h.read(t, messages[1])); diff != "" {
		t.Errorf("the same message gave two events (-first +second):\n%s", diff)
	}
	if !replies[1].Accepted {
		t.Errorf("reply to the repeat: got %d %s, want one that ends the repeats", replies[1].Status, replies[1].Body)
	}
}

func tampered(t *testing.T, h Harness) {
	o := h.order(t)
	h.Script.Pay(t, o.checkout, "paid", "deliver")
	good := h.only(t)
	bad := h.Tamper(good)
	if cmp.Equal(bad, good) {
		t.Fatal("Tamper changed nothing")
	}
	if err := h.Receiver.Verify(h.Merchant, bad); !errors.Is(err, providers.ErrSignature) {
		t.Errorf("Verify of a changed message: got %v, want ErrSignature", err)
	}
	h.Script.Fault(t, h.Fault, "callback", "bad_signature")
	for _, reply := range h.Script.Pay(t, h.order(t).checkout, "paid", "deliver") {
		if reply.Accepted {
			t.Errorf("reply to a wrong signature: got %d %s, want one that is not accepted", reply.Status, reply.Body)
		}
	}
	if err := h.Receiver.Verify(providers.Merchant{Settings: h.Merchant.Settings}, good); !errors.Is(err, providers.ErrSignature) {
		t.Errorf("Verify without secrets: got %v, want ErrSignature", err)
	}
}

// secondSecret proves that the older of two live secrets still verifies.
func secondSecret(t *testing.T, h Harness) {
	o := h.order(t)
	h.Script.Pay(t, o.checkout, "paid", "deliver")
	rotated := providers.Merchant{Settings: h.Merchant.Settings, Secrets: map[string][]string{}}
	for name, values := range h.Merchant.Secrets {
		rotated.Secrets[name] = append([]string{"the-secret-that-comes-next"}, values...)
	}
	if err := h.Receiver.Verify(rotated, h.only(t)); err != nil {
		t.Errorf("Verify with the older secret: got %v, want none", err)
	}
}

func (h Harness) ask(t *testing.T, r providers.InquiryRequest) providers.Event {
	t.Helper()
	id, err := ident.NewReference(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r.RequestID, r.Now = id, h.now()
	ctx, cancel := context.WithTimeout(t.Context(), h.Patience)
	defer cancel()
	event, err := h.Inquirer.Inquire(ctx, h.Merchant, r)
	if err != nil {
		t.Fatalf("Inquire: %v", err)
	}
	return event
}

func inquiry(t *testing.T, h Harness) {
	if h.Inquirer == nil {
		t.Skip("the provider cannot be asked")
	}
	for _, scene := range []struct {
		payer string // "" does nothing
		fault string
		want  providers.Outcome
	}{
		{"", "", providers.Pending},
		{"paid", "", providers.Succeeded},
		{"failed", "", providers.Declined},
		{"cancelled", "", providers.Declined},
		{"paid", "timeout", providers.Unknown},
		{"paid", "garbage", providers.Unknown},
		{"paid", "bad_signature", providers.Unknown},
	} {
		o := h.order(t)
		if scene.payer != "" {
			h.Script.Pay(t, o.checkout, scene.payer, "lose")
		}
		h.Script.Fault(t, h.Fault, "inquiry", scene.fault)
		event := h.ask(t, providers.InquiryRequest{Reference: o.request.Reference, CreatedAt: o.request.CreatedAt})
		if event.Outcome != scene.want || event.Reference != o.request.Reference {
			t.Errorf("inquiry after %q with fault %q: got %s of %q (%s), want %s of %q",
				scene.payer, scene.fault, event.Outcome, event.Reference, event.Reason, scene.want, o.request.Reference)
		}
		if scene.want == providers.Succeeded && (event.Amount != amount || event.TransactionID == "") {
			t.Errorf("inquiry of a paid order: got %v and transaction %q, want %v and one", event.Amount, event.TransactionID, amount)
		}
	}
}

// captured pays an order and returns the request of its full refund.
func (h Harness) captured(t *testing.T) providers.RefundRequest {
	t.Helper()
	o := h.order(t)
	before := len(h.Inbox.Messages())
	h.Script.Pay(t, o.checkout, "paid", "deliver")
	event := h.read(t, h.Inbox.Messages()[before])
	reference, err := ident.NewReference(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return providers.RefundRequest{
		Reference: reference, Payment: o.request.Reference, TransactionID: event.TransactionID, PaidCreatedAt: o.request.CreatedAt,
		Amount: amount, Captured: amount, Description: "Hoàn trả lệ phí", RequestedBy: "checker-1", Now: h.now(),
	}
}

func (h Harness) refund(t *testing.T, r providers.RefundRequest) providers.RefundResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), h.Patience)
	defer cancel()
	result, err := h.Refunder.Refund(ctx, h.Merchant, r)
	if err != nil {
		t.Fatalf("Refund: %v", err)
	}
	return result
}

func (h Harness) askRefund(t *testing.T, r providers.RefundRequest, answer providers.RefundResult) providers.Event {
	t.Helper()
	return h.ask(t, providers.InquiryRequest{
		Reference: r.Payment, TransactionID: r.TransactionID, CreatedAt: r.PaidCreatedAt, RefundReference: r.Reference,
		RefundAmount: r.Amount, RefundTransactionID: answer.TransactionID,
	})
}

func refund(t *testing.T, h Harness) {
	if h.Refunder == nil {
		t.Skip("the provider cannot refund")
	}
	for _, part := range []money.Amount{amount, money.Dong(20_000)} {
		h.Script.Fault(t, h.Fault, "refund", "processing")
		r := h.captured(t)
		r.Amount = part
		if event := h.askRefund(t, r, providers.RefundResult{}); event.Outcome != providers.Unknown {
			t.Errorf("inquiry before a refund of %v: got %s, want unknown", part, event.Outcome)
		}
		answer := h.refund(t, r)
		if answer.Outcome != providers.Pending || answer.TransactionID == "" {
			t.Errorf("refund of %v: got %+v, want pending with a transaction", part, answer)
		}
		if event := h.askRefund(t, r, answer); event.Outcome != providers.Pending {
			t.Errorf("inquiry after a refund of %v: got %s (%s), want pending", part, event.Outcome, event.Reason)
		}
		h.advance(t, 25*time.Hour)
		event := h.askRefund(t, r, answer)
		if event.Outcome != providers.Succeeded || event.Amount != part {
			t.Errorf("inquiry a day after a refund: got %s of %v (%s), want succeeded of %v", event.Outcome, event.Amount, event.Reason, part)
		}
	}
}

func refundTroubles(t *testing.T, h Harness) {
	if h.Refunder == nil {
		t.Skip("the provider cannot refund")
	}
	for _, scene := range []struct {
		fault string
		now   providers.Outcome
		later providers.Outcome // of an inquiry an hour later
	}{
		{"refused", providers.Declined, providers.Unknown},
		{"refused_later", providers.Pending, providers.Declined},
		{"timeout_but_done", providers.Unknown, providers.Succeeded},
		{"timeout_not_done", providers.Unknown, providers.Unknown},
	} {
		r := h.captured(t)
		h.Script.Fault(t, h.Fault, "refund", scene.fault)
		answer := h.refund(t, r)
		if answer.Outcome != scene.now {
			t.Errorf("refund with fault %s: got %+v, want %s", scene.fault, answer, scene.now)
		}
		h.advance(t, time.Hour)
		if event := h.askRefund(t, r, answer); event.Outcome != scene.later {
			t.Errorf("inquiry after fault %s: got %s (%s), want %s", scene.fault, event.Outcome, event.Reason, scene.later)
		}
		h.Script.Fault(t, h.Fault, "refund", "")
	}
	r := h.captured(t)
	if first := h.refund(t, r); first.Outcome != providers.Pending {
		t.Errorf("refund: got %+v, want pending", first)
	}
	if again := h.refund(t, r); again.Outcome != providers.Unknown {
		t.Errorf("the same refund again: got %+v, want unknown", again)
	}
}

// unreachable proves that a call without a connection gives NotSent, or Unknown for an inquiry.
func unreachable(t *testing.T, h Harness) {
	if h.Refunder == nil {
		t.Skip("the provider cannot refund")
	}
	r := h.captured(t)
	settings := map[string]string{}
	for name, value := range h.Merchant.Settings {
		settings[name] = value
	}
	settings["api_url"] = "http://127.0.0.1:1/nobody"
	h.Merchant.Settings = settings
	if got := h.refund(t, r); got.Outcome != providers.NotSent {
		t.Errorf("refund without a connection: got %+v, want not_sent", got)
	}
	if got := h.askRefund(t, r, providers.RefundResult{}); got.Outcome != providers.Unknown {
		t.Errorf("inquiry without a connection: got %s, want unknown", got.Outcome)
	}
}
