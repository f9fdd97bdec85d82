package reconcile_test

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/quote"
	"github.com/doisoat/doisoat/internal/auth"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/refunds/routes"
	"github.com/doisoat/doisoat/remittance"
)

// actions are drawn with equal chances: what leads on is named twice.
func (s *sequence) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"": s.compare, "collect": s.collect, "collect more": s.collect,
		"register": s.register, "add charges": s.addCharges, "ask for payment": s.ask, "hand over": s.handOver,
		"cancel or inquire": s.cancelOrInquire, "status": s.status, "another status": s.status, "propose": s.propose,
		"request refund": s.request, "request another": s.request,
		"decide": s.decide, "decide another": s.decide, "send": s.send, "send another": s.send, "document": s.document,
		"document another": s.document, "bounce": s.bounce, "time": s.advance,
		"split": s.split, "propose voucher": s.proposeVoucher, "propose another": s.proposeVoucher, "decide voucher": s.decideVoucher,
		"settlement": s.run(settlement), "bank": s.run(bank), "bank again": s.run(bank), "revoke": s.revoke,
		"reprice": s.reprice, "correct and divide": s.correctAndDivide, "price by day": s.priceByDay, "price again by day": s.priceByDay,
		"close": s.close, "close by two": s.closeByTwo, "reopen": s.reopen, "roll up or seal": s.rollUpOrSeal,
		"bank line": s.strangersLine, "order arrives": s.orderArrives, "another arrives": s.orderArrives,
		"propose owner": s.proposeOwner, "decide owner": s.decideOwner,
	}
}

// collect is a dossier that is registered and paid at once.
func (s *sequence) collect(t *rapid.T) {
	s.register(t)
	before := len(s.checkouts)
	s.checkout(t, s.model.dossiers[len(s.model.dossiers)-1])
	if len(s.checkouts) > before { // else nothing was due
		s.handOverFor(t, s.checkouts[before:], "paid")
	}
}

// one draws of a list, or skips the step when there is nothing to draw.
func one[T any](t *rapid.T, list []T, label string) T {
	if len(list) == 0 {
		t.Skip("nothing there")
	}
	return list[rapid.IntRange(0, len(list)-1).Draw(t, label)]
}

func (s *sequence) items(t *rapid.T) []quote.ItemRequest {
	var list []quote.ItemRequest
	for range rapid.IntRange(1, 3).Draw(t, "items") {
		fee := rapid.SampledFrom([]string{
			"LP_DKKD", "LP_HO_TICH", "P_CONG_BO_DN", "P_CONG_BO_DN", "LP_DKDN", "P_LU_HANH", "LP_GPXD", "P_GDBD",
		}).Draw(t, "fee")
		if slices.ContainsFunc(list, func(i quote.ItemRequest) bool { return i.FeeType == fee }) {
			continue
		}
		base := rapid.Int64Range(1, 200_000).Draw(t, "base")
		list = append(list, quote.ItemRequest{FeeType: fee, Base: &base, Assessed: &quote.Assessed{Ground: "an amount of the test"}})
	}
	return list
}

func (s *sequence) register(t *rapid.T) {
	s.serial++
	d, _, err := s.cases.Register(t.Context(), s.as(auth.RolePortal), dossiers.Registration{
		Authority: s.code, Code: fmt.Sprintf("H41.12-241227-%04d", s.serial), Agency: "H41.12", ServiceLevel: "toan_trinh",
		Channel:     rapid.SampledFrom([]string{"online", "direct"}).Draw(t, "channel"),
		SubmittedAt: s.clock.Now().Add(-time.Hour), Applicant: dossiers.Applicant{Name: "Người nộp"}, Items: s.items(t),
	})
	s.ok(t, err)
	md := &modelDossier{id: d.ID, code: d.Code}
	s.model.dossiers = append(s.model.dossiers, md)
	s.assess(t, md, d.Charges, s.today())
}

func (s *sequence) addCharges(t *rapid.T) {
	d := one(t, s.model.dossiers, "dossier")
	_, err := s.cases.AddCharges(t.Context(), s.as(auth.RolePortal), d.code, s.items(t), "")
	s.refused(t, err, dossiers.ErrUndeliverable)
	s.sync(t, d)
}

func (s *sequence) ask(t *rapid.T) { s.checkout(t, one(t, s.model.dossiers, "dossier")) }

func (s *sequence) checkout(t *rapid.T, d *modelDossier) {
	p, created, err := s.payments.Create(t.Context(), s.as(auth.RolePortal), d.code, payments.Request{
		Provider: rapid.SampledFrom([]string{"vnpay", "vietqr"}).Draw(t, "provider"), PayerIP: "203.0.113.7",
	})
	if s.refused(t, err, payments.ErrNothingDue, payments.ErrOtherLive, dossiers.ErrUndeliverable) || !created {
		return
	}
	if open := d.outstanding(); p.Amount.Minor != open {
		t.Fatalf("asked for %d, %d are open", p.Amount.Minor, open)
	}
	s.checkouts = append(s.checkouts, p)
}

// handOver plays the payer: pays or fails, in time or late, once or again.
func (s *sequence) handOver(t *rapid.T) {
	s.handOverFor(t, s.checkouts, "paid", "paid", "failed", "cancelled")
}

func (s *sequence) handOverFor(t *rapid.T, list []payments.Payment, outcomes ...string) {
	p := one(t, list, "payment")
	d := s.of(p.DossierID)
	callback := rapid.SampledFrom([]string{"deliver", "deliver", "twice", "lose"}).Draw(t, "callback")
	command := map[string]any{"outcome": rapid.SampledFrom(outcomes).Draw(t, "outcome"), "callback": callback}
	if p.Checkout.QR != nil {
		command["qr"] = p.Checkout.QR.Payload
		if share := rapid.Int64Range(1, 6).Draw(t, "quarters"); share != 4 {
			command["amount"] = max(p.Amount.Minor*share/4, 1)
		}
	} else {
		command["url"], command["force"] = p.Checkout.URL, true
	}
	before := d.taken(p.ID)
	var result struct {
		Amount int64 `json:"amount"`
	}
	paid := s.control(t, "/control/pay", command, &result)
	if answer := s.refusal.Load(); answer != nil {
		t.Fatalf("the answer to the callback of payment %s: %s", p.ID, answer)
	}
	if !paid || command["outcome"] != "paid" {
		s.sync(t, d)
		return
	}
	s.handed[p.ID] += result.Amount
	s.sync(t, d)
	if got := d.taken(p.ID) - before; callback != "lose" && got != result.Amount {
		t.Fatalf("payment %s took %d, its payer gave %d", p.ID, got, result.Amount)
	}
}

func (d *modelDossier) taken(id payments.ID) (sum int64) {
	for _, c := range d.captures {
		if c.payment == id {
			sum += c.amount
		}
	}
	return sum
}

func (s *sequence) of(id dossiers.ID) *modelDossier {
	return s.model.dossiers[slices.IndexFunc(s.model.dossiers, func(d *modelDossier) bool { return d.id == id })]
}

func (s *sequence) cancelOrInquire(t *rapid.T) {
	p := one(t, s.checkouts, "payment")
	if rapid.Bool().Draw(t, "cancel") {
		_, err := s.payments.Cancel(t.Context(), s.as(auth.RolePortal), p.ID)
		s.refused(t, err, payments.ErrStatus)
	} else {
		_, err := s.payments.Inquire(t.Context(), auth.System(s.code), p.ID)
		s.ok(t, err)
	}
	s.sync(t, s.of(p.DossierID))
}

func (s *sequence) status(t *rapid.T) {
	d := one(t, s.model.dossiers, "dossier")
	found, err := s.cases.RecordStatus(t.Context(), s.as(auth.RolePortal), d.code, dossiers.StatusReport{
		Status: rapid.SampledFrom([]dossiers.Status{1, 2, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10}).Draw(t, "status"),
		At:     s.clock.Now().Add(-rapid.SampledFrom([]time.Duration{0, 0, 26 * time.Hour}).Draw(t, "late")),
		Reason: rapid.SampledFrom([]string{"", "", "", dossiers.ServiceImpossible}).Draw(t, "reason"),
	})
	s.ok(t, err)
	if found.Undeliverable != "" && rapid.Bool().Draw(t, "the job runs") {
		s.ok(t, s.refunds.ProposeForDossier(t.Context(), s.code, d.id, found.Undeliverable))
	}
	s.sync(t, d)
}

// propose runs the jobs that captures and status reports queued.
func (s *sequence) propose(t *rapid.T) {
	d := one(t, s.model.dossiers, "dossier")
	found, err := s.cases.Find(t.Context(), s.as(auth.RolePortal), d.code)
	s.ok(t, err)
	if found.Undeliverable != "" {
		s.ok(t, s.refunds.ProposeForDossier(t.Context(), s.code, d.id, found.Undeliverable))
	}
	for _, c := range d.captures {
		if c.excess > 0 {
			s.ok(t, s.refunds.ProposeExcess(t.Context(), s.code, c.id))
		}
	}
	s.sync(t, d)
}

func (s *sequence) request(t *rapid.T) {
	d := one(t, s.model.dossiers, "dossier")
	c := one(t, d.captures, "capture")
	var items []refunds.Item
	fits := true
	for _, x := range append([]*modelCharge{{}}, d.charges...) {
		if c.left(x.id) <= 0 && c.paid[x.id] == 0 || rapid.Bool().Draw(t, "not this") {
			continue
		}
		amount := rapid.Int64Range(1, max(c.left(x.id)*9/8, 1)).Draw(t, "amount")
		fits = fits && amount <= c.left(x.id)
		items = append(items, refunds.Item{Charge: x.id, Amount: amount})
	}
	if len(items) == 0 {
		t.Skip("nothing asked for")
	}
	refundable := d.refundable()
	q := refunds.Request{Reason: "COLLECTED_AGAINST_RULE", Items: items}
	if rapid.Bool().Draw(t, "guarded") {
		q.ExpectedRefundable = &refundable
	}
	r, _, err := s.refunds.Request(t.Context(), s.as(auth.RoleAccountant), d.code, q)
	if s.refused(t, err, refunds.ErrExceeds, refunds.ErrSeveral) && fits {
		t.Fatalf("%+v was refused: %v", items, err)
	}
	s.sync(t, d)
	if err == nil && rapid.Bool().Draw(t, "decide at once") {
		_, err := s.refunds.Approve(t.Context(), s.as(auth.RoleChiefAccountant), r.ID, "đúng hồ sơ")
		s.ok(t, err)
		s.sync(t, d)
	}
}

func (s *sequence) decide(t *rapid.T) {
	r := one(t, s.sorted(refunds.Requested), "refund")
	var err error
	if rapid.IntRange(0, 4).Draw(t, "reject") == 0 {
		_, err = s.refunds.Reject(t.Context(), s.as(auth.RoleChiefAccountant), r.ID, "không đúng")
	} else {
		_, err = s.refunds.Approve(t.Context(), s.as(auth.RoleChiefAccountant), r.ID, "đúng hồ sơ")
	}
	s.ok(t, err)
	s.sync(t, r.dossier)
}

// send is a try of the job, or an inquiry, under a trouble of the provider.
func (s *sequence) send(t *rapid.T) {
	r := one(t, s.sorted(refunds.Reserved, refunds.Sending, refunds.Sent, refunds.Unknown), "refund")
	trouble := rapid.SampledFrom([]string{
		"", "", "timeout_but_done", "timeout_not_done", "refused", "refused_later", "processing",
	}).Draw(t, "trouble")
	s.control(t, "/control/faults", map[string]any{"provider": "vnpay", "refund": trouble}, &struct{}{})
	if r.Status == refunds.Reserved {
		s.refused(t, s.routes.Send(t.Context(), s.code, r.ID), routes.ErrCannotSend)
	} else {
		s.ok(t, s.routes.Inquire(t.Context(), s.code, r.ID))
	}
	s.sync(t, r.dossier)
}

// document pays by order: a decided refund, or one that bounced.
func (s *sequence) document(t *rapid.T) {
	r := one(t, s.sorted(refunds.Reserved, refunds.Returned), "refund")
	s.serial++
	before, doc := s.transit, routes.Document{Number: fmt.Sprintf("UNC-%06d", s.serial), Date: s.today()}
	if rapid.IntRange(0, 3).Draw(t, "account") > 0 {
		doc.Account = bank
	}
	_, err := s.routes.Confirm(t.Context(), s.as(auth.RoleAccountant), r.ID, doc)
	s.refused(t, err, refunds.ErrStatus, routes.ErrDocument)
	s.sync(t, r.dossier)
	s.ordered(before, doc.Number, r.Reference)
}

func (s *sequence) bounce(t *rapid.T) {
	r := one(t, s.sorted(refunds.Done), "refund")
	s.serial++
	before, number := s.transit, fmt.Sprintf("BC-%06d", s.serial)
	_, err := s.routes.Return(t.Context(), s.as(auth.RoleAccountant), r.ID, routes.Document{Number: number, Date: s.today(), Account: bank})
	s.ok(t, err)
	s.sync(t, r.dossier)
	s.ordered(before, number, r.Reference)
}

func (s *sequence) advance(t *rapid.T) {
	s.clock.advance(rapid.SampledFrom([]time.Duration{
		3 * time.Minute, 20 * time.Minute, 24 * time.Hour, 26 * time.Hour, 5 * 24 * time.Hour,
	}).Draw(t, "by"))
}

func (s *sequence) split(t *rapid.T) {
	s.splitUpTo(t, s.today().AddDays(-rapid.IntRange(1, 2).Draw(t, "days ago")))
}

func (s *sequence) splitUpTo(t *rapid.T, to calendar.Date) {
	made, created, err := s.remittance.Split(t.Context(), s.as(auth.RoleAccountant), remittance.SplitRequest{PeriodTo: to, Currency: "VND"})
	nothing := remittance.ErrNothing.Is(err)
	if !nothing && (s.refused(t, err, remittance.ErrPeriodOrder) || !created) {
		return
	}
	mine := s.divide(made.ID, to)
	if (len(mine.shares) == 0) != nothing {
		t.Fatalf("Split: got %v, the model has %d shares", err, len(mine.shares))
	}
}
