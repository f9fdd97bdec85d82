package reconcile_test

import (
	"cmp"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/doisoat/doisoat/dossiers"
	"github.com/doisoat/doisoat/fees/schedule"
	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/payments"
	"github.com/doisoat/doisoat/refunds"
	"github.com/doisoat/doisoat/remittance"
)

// model is what must be true of one province, in plain sums: what was assessed,
// taken, given back, divided and moved. It shares no rule with the rooms.
type model struct {
	dossiers []*modelDossier
	captures map[payments.CaptureID]*modelCapture
	refunds  map[refunds.ID]*modelRefund
	splits   []*modelSplit
	closed   map[calendar.Date]bool

	clearing map[string]int64 // by provider: taken, less what it gave back
	budget   map[string]int64 // by fee type: owed to the budget
	waiting  int64            // at the treasury's waiting account
	claims   int64            // the budget must give it back
	transit  int64            // ordered from the bank account, or on the way back
}

func newModel() *model {
	return &model{
		captures: map[payments.CaptureID]*modelCapture{}, refunds: map[refunds.ID]*modelRefund{}, closed: map[calendar.Date]bool{},
		clearing: map[string]int64{}, budget: map[string]int64{},
	}
}

type modelDossier struct {
	id       dossiers.ID
	code     string
	charges  []*modelCharge
	captures []*modelCapture // oldest first
}

// modelCharge is a charge. What money it has is kept by the first one, together
// with that of those that correct it: moves and retained are of the first.
type modelCharge struct {
	id                               dossiers.ChargeID
	first                            *modelCharge   // itself, or the one that it corrects
	corrected                        []*modelCharge // by these
	feeType                          string
	phi                              bool
	base, discount, subsidy, due     int64
	captured, waived, back, retained int64
	moves                            []movement // of what is collected provisionally
}

// movement is of a business date; a split counts from the day it divides up to.
type movement struct {
	date   calendar.Date
	amount int64
	split  bool
}

func (c *modelCharge) outstanding() int64 { return c.due - c.waived - c.captured }

func (c *modelCharge) held() (sum int64) {
	for _, m := range c.first.moves {
		sum += m.amount
	}
	return sum
}

func (c *modelCharge) moved(m movement) { c.first.moves = append(c.first.moves, m) }

type modelCapture struct {
	id        payments.CaptureID
	payment   payments.ID
	provider  string
	excess    int64
	paid      map[dossiers.ChargeID]int64
	reserved  map[dossiers.ChargeID]int64 // the zero charge is the excess
	amount    int64
	allocated int64
}

func (c *modelCapture) left(id dossiers.ChargeID) int64 {
	if id.IsZero() {
		return c.excess - c.reserved[id]
	}
	return c.paid[id] - c.reserved[id]
}

type modelRefund struct {
	refunds.Refund
	dossier *modelDossier
	taken   []taken
}

// taken is what a refund took out of a share, and where that was.
type taken struct {
	budget, retained  int64
	waiting, remitted bool
}

type modelSplit struct {
	id       remittance.SplitID
	to       calendar.Date
	shares   []*modelShare
	vouchers []remittance.Voucher
}

type modelShare struct {
	charge            *modelCharge
	left              int64
	waiting, remitted bool
}

// retainedOf is the agency's part: seven tenths of phí, nothing of lệ phí.
func (c *modelCharge) retainedOf(amount int64) int64 {
	if !c.phi {
		return 0
	}
	return amount * 7 / 10
}

// open is the first day from date on that takes entries.
func (m *model) open(date calendar.Date) calendar.Date {
	for m.closed[date] {
		date = date.AddDays(1)
	}
	return date
}

func (d *modelDossier) chargeOf(c dossiers.Charge) *modelCharge {
	mc := &modelCharge{
		id: c.ID, feeType: c.FeeType, phi: c.Kind == schedule.Phi, base: c.Base, discount: c.Discount, subsidy: c.Subsidy, due: c.Due,
	}
	mc.first = mc
	for _, x := range d.charges {
		if x.id == c.Corrects {
			mc.first = x
			x.corrected = append(x.corrected, mc)
		}
	}
	return mc
}

// assess takes new charges over. What each is due must follow from its parts;
// one that corrects takes back from policies what it asks of the payer.
func (m *model) assess(t *rapid.T, d *modelDossier, list []dossiers.Charge, today calendar.Date) {
	for _, c := range list[len(d.charges):] {
		mc := d.chargeOf(c)
		if mc.base != mc.due+mc.discount+mc.subsidy || c.Corrects.IsZero() != (mc.first == mc) {
			t.Fatalf("charge %+v does not add up", c)
		}
		if mc.subsidy != 0 {
			mc.moved(movement{date: m.open(today), amount: mc.subsidy})
		}
		d.charges = append(d.charges, mc)
	}
}

// capture pays open charges in their order; what none needs is excess.
func (m *model) capture(d *modelDossier, c payments.Capture) *modelCapture {
	mc := &modelCapture{
		id: c.ID, payment: c.PaymentID, provider: c.Provider, amount: c.Amount.Minor,
		paid: map[dossiers.ChargeID]int64{}, reserved: map[dossiers.ChargeID]int64{},
	}
	left := mc.amount
	for _, x := range d.charges {
		if part := min(left, x.outstanding()); part > 0 {
			x.captured += part
			x.moved(movement{date: m.open(c.BusinessDate), amount: part})
			mc.paid[x.id] = part
			left -= part
		}
	}
	mc.excess, mc.allocated = left, mc.amount-left
	m.captures[c.ID] = mc
	d.captures = append(d.captures, mc)
	if c.Evidence != payments.ByPersons { // that is in the bank already
		m.clearing[c.Provider] += mc.amount
	}
	return mc
}

func (d *modelDossier) outstanding() (sum int64) {
	for _, c := range d.charges {
		sum += c.outstanding()
	}
	return sum
}

// refundable is what could still be promised back.
func (d *modelDossier) refundable() (sum int64) {
	for _, c := range d.captures {
		sum += c.amount
		for _, reserved := range c.reserved {
			sum -= reserved
		}
	}
	return sum
}

func (m *model) reserve(t *rapid.T, r *modelRefund, sign int64) {
	c := m.captures[r.CaptureID]
	for _, i := range r.Items {
		c.reserved[i.Charge] += sign * i.Amount
		if c.left(i.Charge) < 0 || c.reserved[i.Charge] < 0 {
			t.Fatalf("refund %s promises more than was taken: %+v of %+v", r.ID, i, c)
		}
	}
}

func (r *modelRefund) charges(visit func(c *modelCharge, amount int64)) {
	for _, i := range r.Items {
		for _, c := range r.dossier.charges {
			if c.id == i.Charge {
				visit(c, i.Amount)
			}
		}
	}
}

// approve takes from provisional collection first, then from the newest share.
func (m *model) approve(t *rapid.T, r *modelRefund, today calendar.Date) {
	r.charges(func(c *modelCharge, amount int64) {
		if held := min(amount, max(c.held(), 0)); held > 0 {
			c.moved(movement{date: m.open(today), amount: -held})
			amount -= held
		}
		for _, s := range slices.Backward(m.splits) {
			for _, x := range s.shares {
				part := min(amount, x.left)
				if x.charge != c.first || part == 0 {
					continue
				}
				retained := c.retainedOf(x.left) - c.retainedOf(x.left-part)
				x.left -= part
				amount -= part
				x.charge.retained -= retained
				if x.remitted {
					m.claims += part - retained
				} else {
					m.budget[c.feeType] -= part - retained
				}
				r.taken = append(r.taken, taken{part - retained, retained, x.waiting, x.remitted})
			}
		}
		if amount > 0 {
			t.Fatalf("refund %s: %d of charge %s are nowhere", r.ID, amount, c.id)
		}
	})
}

// route is the lawful way back of what a refund took.
func (m *model) route(r *modelRefund) refunds.Route {
	route := refunds.ByProvider
	if m.captures[r.CaptureID].provider != "vnpay" {
		route = refunds.PaymentOrder
	}
	for _, x := range r.taken {
		if x.remitted && x.budget > 0 {
			return refunds.TreasuryOrder
		}
		if x.waiting {
			route = refunds.PaymentOrder
		}
	}
	return route
}

// pay carries a refund out the first time, and ends what it was paid for.
func (m *model) pay(r *modelRefund, route refunds.Route) {
	amount := r.Amount.Minor
	if route == refunds.ByProvider {
		m.clearing[r.Provider] -= amount
	} else {
		for _, x := range r.taken {
			here := x.retained
			if x.remitted {
				m.claims -= x.budget
				amount -= x.budget
			} else {
				here += x.budget
			}
			if x.waiting {
				m.waiting -= here
				amount -= here
			}
		}
		m.transit -= amount
	}
	r.charges(func(c *modelCharge, amount int64) { c.back += amount })
}

// decline gives the money back to provisional collection.
func (m *model) decline(t *rapid.T, r *modelRefund, today calendar.Date) {
	r.charges(func(c *modelCharge, amount int64) {
		c.moved(movement{date: m.open(today), amount: amount})
	})
	m.reserve(t, r, -1)
}

// divide is a split of everything that is still provisional and was so on the
// day; a charge and those that correct it are divided as one.
func (m *model) divide(id remittance.SplitID, to calendar.Date) *modelSplit {
	s := &modelSplit{id: id, to: to}
	for _, d := range m.dossiers {
		for _, c := range d.charges {
			var then int64
			known := false
			for _, x := range c.moves { // none where it corrects another
				if x.split || !x.date.After(to) {
					then += x.amount
				}
				known = known || !x.date.After(to)
			}
			amount := min(then, c.held())
			if !known || amount <= 0 {
				continue
			}
			c.moved(movement{date: m.open(to), amount: -amount, split: true})
			c.retained += c.retainedOf(amount)
			m.budget[c.feeType] += amount - c.retainedOf(amount)
			s.shares = append(s.shares, &modelShare{charge: c, left: amount})
		}
	}
	if len(s.shares) > 0 {
		m.splits = append(m.splits, s)
	}
	return s
}

// moves is what a voucher of a kind would move now, by fee type.
func (s *modelSplit) moves(kind remittance.VoucherKind) map[string]int64 {
	sums := map[string]int64{}
	for _, x := range s.shares {
		if x.charge.phi == (kind == remittance.BudgetLePhi) {
			continue
		}
		amount := x.left
		if kind != remittance.ToWaiting {
			amount -= x.charge.retainedOf(x.left)
		}
		if amount > 0 {
			sums[x.charge.feeType] += amount
		}
	}
	return sums
}

// move carries a voucher out.
func (m *model) move(s *modelSplit, v remittance.Voucher) {
	for fee, amount := range s.moves(v.Kind) {
		if v.Account != "" {
			m.transit -= amount
		} else {
			m.waiting -= amount
		}
		if v.Kind == remittance.ToWaiting {
			m.waiting += amount
		} else {
			m.budget[fee] -= amount
		}
	}
	for _, x := range s.shares {
		if x.charge.phi != (v.Kind == remittance.BudgetLePhi) {
			x.waiting = x.waiting || v.Kind == remittance.ToWaiting
			x.remitted = x.remitted || v.Kind != remittance.ToWaiting
		}
	}
}

// statements is what the runs made of files, summed up.
type statementSums struct {
	Bank      int64 // booked lines of the account that runs looked at
	Unmatched int64 // of those, credits that nothing explains
	Taken     int64 // of those, debits that nothing explains
	Transfers int64 // of those, transfers of payers
	Arrived   int64 // of those, money in transit
	PaidOut   int64 // gross of settlement rows that arrived
	Fees      int64 // of those rows
}

// balances are the sums that the book must show, by account and what the
// account is kept by; sums of 0 are left out.
func (m *model) balances(files statementSums) map[string]int64 {
	sums := map[string]int64{
		"A-KB-PHI": m.waiting, "A-KB-HOAN": m.claims, "A-TRANSIT-" + bank: m.transit - files.Arrived, "A-BANK-" + bank: files.Bank,
		"L-SUSPENSE": files.Unmatched, "A-BREAK": -files.Taken, "E-FEE": files.Fees,
		"A-CLR-vnpay": m.clearing["vnpay"] - files.PaidOut, "A-CLR-vietqr": m.clearing["vietqr"] - files.Transfers,
	}
	for fee, amount := range m.budget {
		sums["L-NSNN "+fee] = amount
	}
	for _, d := range m.dossiers {
		for _, c := range d.charges {
			about := " " + c.id.UUID().String()
			sums["M-RECEIVABLE"+about] = c.due - c.waived - c.captured
			sums["M-OBLIGATION"+about] = c.base - c.waived - c.back
			sums["M-DISCOUNT"+about] = c.discount
			sums["M-COLLECTED"+about] = c.subsidy + c.captured - c.back
			sums["A-SUBSIDY"+about] = c.subsidy
			if c.first != c {
				continue
			}
			sums["L-RETAIN"+about] = c.retained
			if c.phi {
				sums["L-TAMTHU-PHI"+about] = c.held()
			} else {
				sums["L-TAMTHU-LEPHI"+about] = c.held()
			}
		}
		for _, c := range d.captures {
			sums["L-REFUND "+c.payment.UUID().String()] += c.excess
		}
	}
	for _, r := range m.refunds {
		payable := "L-REFUND " + r.PaymentID.UUID().String()
		switch r.Status {
		case refunds.Reserved, refunds.Sending, refunds.Sent, refunds.Unknown, refunds.Returned:
			r.charges(func(_ *modelCharge, amount int64) { sums[payable] += amount })
		case refunds.Done:
			r.charges(func(_ *modelCharge, amount int64) { sums[payable] += amount })
			sums[payable] -= r.Amount.Minor
		default: // nothing was decided, or it was taken back
		}
	}
	maps.DeleteFunc(sums, func(_ string, sum int64) bool { return sum == 0 })
	return sums
}

// sorted lists refunds of some states, oldest first.
func (m *model) sorted(states ...refunds.Status) []*modelRefund {
	var list []*modelRefund
	for _, r := range m.refunds {
		if slices.Contains(states, r.Status) {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *modelRefund) int { return cmp.Compare(a.ID.String(), b.ID.String()) })
	return list
}

// byDate is what became provisional, or stopped being so, on each business date by charge.
func (m *model) byDate() map[string]int64 {
	sums := map[string]int64{}
	for _, d := range m.dossiers {
		for _, c := range d.charges {
			for _, x := range c.moves {
				sums[x.date.String()+" "+c.id.UUID().String()] += x.amount
			}
		}
	}
	maps.DeleteFunc(sums, func(_ string, sum int64) bool { return sum == 0 })
	return sums
}

// takenBack is, by account, the subsidies that were taken back after they may
// have been divided: until the payer pays in the budget's place, so much is missing.
func (m *model) takenBack() map[string]int64 {
	sums := map[string]int64{}
	for _, split := range m.splits {
		for _, x := range split.shares {
			account := "L-TAMTHU-LEPHI "
			if x.charge.phi {
				account = "L-TAMTHU-PHI "
			}
			var sum int64
			for _, c := range x.charge.corrected {
				sum -= min(c.subsidy, 0)
			}
			sums[account+x.charge.id.UUID().String()] = sum
		}
	}
	return sums
}
