package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doisoat/doisoat/internal/calendar"
)

// outcome is what a payer does.
type outcome string

const (
	outcomePaid      outcome = "paid"
	outcomeFailed    outcome = "failed"
	outcomeCancelled outcome = "cancelled"
)

func (o outcome) known() bool {
	return o == outcomePaid || o == outcomeFailed || o == outcomeCancelled
}

// callbackMode is what becomes of a callback.
type callbackMode string

const (
	callbackDeliver      callbackMode = "deliver"
	callbackLose         callbackMode = "lose"
	callbackTwice        callbackMode = "twice"
	callbackLate         callbackMode = "late"          // when the clock is advanced, or after a delay
	callbackBadSignature callbackMode = "bad_signature" // a fault only; applies to every callback while set
)

// faults are a provider's present troubles; they last until changed.
type faults struct {
	Inquiry  string       `json:"inquiry"`
	Refund   string       `json:"refund"`
	Callback callbackMode `json:"callback"`
}

// Words of faults. Refused answers 95 at once; refused_later is accepted and
// ends in 09; processing stays at 05 for a day of the simulator's clock.
const (
	faultTimeout        = "timeout"
	faultGarbage        = "garbage"
	faultBadSignature   = "bad_signature"
	faultTimeoutDone    = "timeout_but_done"
	faultTimeoutNotDone = "timeout_not_done"
	faultRefused        = "refused"
	faultRefusedLater   = "refused_later"
	faultProcessing     = "processing"
)

// refusal is an error of a control call.
type refusal struct {
	status int
	code   string
	detail string
}

func (r *refusal) Error() string { return r.code + ": " + r.detail }

func refuse(status int, code, format string, args ...any) error {
	return &refusal{status, code, fmt.Sprintf(format, args...)}
}

var errLate = refuse(http.StatusConflict, "expired", `the time to pay is over; "force":true pays all the same`)

type payCommand struct {
	URL      string       `json:"url"`
	QR       string       `json:"qr"`
	Outcome  outcome      `json:"outcome"`
	Callback callbackMode `json:"callback"`
	Delay    string       `json:"delay"`
	Amount   *int64       `json:"amount"`
	Content  string       `json:"content"`
	Force    bool         `json:"force"`
}

type callbackResult struct {
	Sent    int     `json:"sent"` // deliveries made before this answer
	Replies []reply `json:"replies"`
}

// payResult: for VNPAY, its number and the merchant's reference; for a
// transfer, SePay's id and the bank's reference. Amount is whole đồng.
type payResult struct {
	TransactionNo string         `json:"transaction_no"`
	Reference     string         `json:"reference"`
	Amount        int64          `json:"amount"`
	Content       string         `json:"content,omitempty"`
	Callback      callbackResult `json:"callback"`
}

// controlPay plays a payer and answers when the callbacks that it sends at once
// are answered.
func (s *Simulator) controlPay(w http.ResponseWriter, r *http.Request) {
	var command payCommand
	if err := readJSON(r, &command); err != nil {
		writeRefusal(w, err)
		return
	}
	result, list, err := s.pay(command)
	if err != nil {
		writeRefusal(w, err)
		return
	}
	if !s.saved500(w) {
		s.release(list...)
		return
	}
	result.Callback.Replies = []reply{}
	for _, d := range list {
		result.Callback.Replies = append(result.Callback.Replies, s.try(d))
		result.Callback.Sent++
	}
	writeJSON(w, http.StatusOK, result)
}

// pay does what the payer does and returns the callbacks to send now.
func (s *Simulator) pay(c payCommand) (payResult, []*delivery, error) {
	var delay time.Duration
	if c.Delay != "" {
		var err error
		if delay, err = time.ParseDuration(c.Delay); err != nil || delay <= 0 || c.Callback != callbackLate {
			return payResult{}, nil, refuse(http.StatusBadRequest, "delay", `delay is a duration such as "10s" and goes with callback "late"`)
		}
	}
	known := []callbackMode{"", callbackDeliver, callbackLose, callbackTwice, callbackLate}
	switch {
	case (c.URL == "") == (c.QR == ""):
		return payResult{}, nil, refuse(http.StatusBadRequest, "target", "give either url or qr")
	case !c.Outcome.known():
		return payResult{}, nil, refuse(http.StatusBadRequest, "outcome", "outcome is paid, failed or cancelled")
	case !slices.Contains(known, c.Callback):
		return payResult{}, nil, refuse(http.StatusBadRequest, "callback", "callback is deliver, lose, twice or late")
	case c.Amount != nil && (*c.Amount <= 0 || *c.Amount > 9_999_999_999):
		return payResult{}, nil, refuse(http.StatusBadRequest, "amount", "amount is whole dong above zero, at most 9999999999")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.URL != "" {
		return s.payURL(c, delay)
	}
	return s.payQR(c, delay)
}

// payURL pays at VNPAY; the caller holds mu.
func (s *Simulator) payURL(c payCommand, delay time.Duration) (payResult, []*delivery, error) {
	if c.Content != "" {
		return payResult{}, nil, refuse(http.StatusBadRequest, "content", "content goes with qr only")
	}
	address, err := url.Parse(c.URL)
	if err != nil || path.Base(address.Path) != path.Base(PayPath) {
		return payResult{}, nil, refuse(http.StatusBadRequest, "url", "url is not a VNPAY pay page")
	}
	o, wrong := s.readOrder(address.RawQuery)
	if wrong != nil {
		return payResult{}, nil, refuse(http.StatusUnprocessableEntity, "vnpay."+wrong.code, "%s", wrong.text)
	}
	late := s.now().After(o.expires) && !c.Force
	if late && s.payments[paymentKey(o.merchant.terminal, o.reference)] == nil {
		return payResult{}, nil, errLate
	}
	p, wrong := s.openPayment(o)
	switch {
	case wrong != nil:
		return payResult{}, nil, refuse(http.StatusConflict, "vnpay."+wrong.code, "the reference was used for another order")
	case p.Status == statusDone:
		return payResult{}, nil, refuse(http.StatusConflict, "paid", "the payment is already paid")
	case p.Status != statusOpen && (!c.Force || c.Outcome != outcomePaid):
		return payResult{}, nil, refuse(http.StatusConflict, "finished", `the payment has ended unpaid; "force":true pays it all the same`)
	case late:
		return payResult{}, nil, errLate
	}
	amount := o.amount
	if c.Amount != nil {
		amount = *c.Amount
	}
	s.finish(p, c.Outcome, amount)
	list := s.queue(delivery{Sender: VNPAY, Owner: p.Terminal, Reference: p.Reference, Values: resultValues(p)},
		s.callbackMode(VNPAY, c.Callback), delay, false)
	return payResult{
		TransactionNo: strconv.FormatInt(p.Transaction, 10), Reference: p.Reference, Amount: p.Amount,
	}, list, nil
}

// payQR transfers by a banking app; the same code pays again and again. A
// transfer that fails leaves no trace at the receiving bank. The caller holds mu.
func (s *Simulator) payQR(c payCommand, delay time.Duration) (payResult, []*delivery, error) {
	code, err := readQR(c.QR)
	if err != nil {
		return payResult{}, nil, refuse(http.StatusUnprocessableEntity, "qr", "%s", err)
	}
	b, ok := s.banks[code.account]
	switch {
	case code.service != "QRIBFTTA":
		return payResult{}, nil, refuse(http.StatusUnprocessableEntity, "qr", "the code is not a transfer to an account")
	case !ok || b.bin != code.bin:
		return payResult{}, nil, refuse(http.StatusNotFound, "account", "no such account at this bank")
	}
	amount := code.amount
	if c.Amount != nil {
		amount = *c.Amount
	}
	if amount == 0 {
		return payResult{}, nil, refuse(http.StatusBadRequest, "amount", "the code names no amount: give one")
	}
	if c.Outcome != outcomePaid {
		return payResult{Amount: amount}, nil, nil
	}
	text := c.Content
	if text == "" && code.purpose != "***" {
		text = code.purpose
	}
	m := s.receive(b, amount, text)
	result := payResult{
		TransactionNo: strconv.FormatInt(noticeID(m), 10), Reference: m.Reference, Amount: m.Amount, Content: m.Content,
	}
	if b.callback == "" {
		return result, nil, nil
	}
	list := s.queue(delivery{Sender: SePay, Owner: b.account, Reference: m.Reference, Body: s.noticeBody(b, m)},
		s.callbackMode(SePay, c.Callback), delay, false)
	return result, list, nil
}

// callbackMode is what the script asks for, else the fault in force, else
// delivery; the caller holds mu.
func (s *Simulator) callbackMode(sender string, asked callbackMode) callbackMode {
	if asked != "" {
		return asked
	}
	if mode := s.state.Faults[sender].Callback; mode != "" && mode != callbackBadSignature {
		return mode
	}
	return callbackDeliver
}

// controlFaults changes the members that are given; an empty text ends a fault.
func (s *Simulator) controlFaults(w http.ResponseWriter, r *http.Request) {
	var command struct {
		Provider string        `json:"provider"`
		Inquiry  *string       `json:"inquiry"`
		Refund   *string       `json:"refund"`
		Callback *callbackMode `json:"callback"`
	}
	if err := readJSON(r, &command); err != nil {
		writeRefusal(w, err)
		return
	}
	if command.Provider == "vietqr" { // SePay is who speaks for a VietQR account
		command.Provider = SePay
	}
	var err error
	switch {
	case command.Provider != VNPAY && command.Provider != SePay:
		err = refuse(http.StatusBadRequest, "provider", "provider is vnpay, or sepay (also called vietqr)")
	case command.Provider == SePay && (command.Inquiry != nil || command.Refund != nil):
		err = refuse(http.StatusBadRequest, "provider", "sepay knows neither inquiry nor refund")
	case command.Inquiry != nil && !slices.Contains([]string{"", faultTimeout, faultGarbage, faultBadSignature}, *command.Inquiry):
		err = refuse(http.StatusBadRequest, "inquiry", "inquiry is timeout, garbage, bad_signature or empty")
	case command.Refund != nil && !slices.Contains([]string{
		"", faultTimeoutDone, faultTimeoutNotDone, faultRefused, faultRefusedLater, faultProcessing,
	}, *command.Refund):
		err = refuse(http.StatusBadRequest, "refund",
			"refund is timeout_but_done, timeout_not_done, refused, refused_later, processing or empty")
	case command.Callback != nil && !slices.Contains([]callbackMode{
		"", callbackDeliver, callbackLose, callbackTwice, callbackLate, callbackBadSignature,
	}, *command.Callback):
		err = refuse(http.StatusBadRequest, "callback", "callback is lose, twice, late, bad_signature, deliver or empty")
	}
	if err != nil {
		writeRefusal(w, err)
		return
	}
	s.mu.Lock()
	f := s.state.Faults[command.Provider]
	if command.Inquiry != nil {
		f.Inquiry = *command.Inquiry
	}
	if command.Refund != nil {
		f.Refund = *command.Refund
	}
	if command.Callback != nil {
		f.Callback = *command.Callback
	}
	s.state.Faults[command.Provider] = f
	s.changed()
	all := maps.Clone(s.state.Faults)
	s.mu.Unlock()
	if s.saved500(w) {
		writeJSON(w, http.StatusOK, map[string]any{"faults": all})
	}
}

// controlClock advances the clock and answers when all that became due is sent.
func (s *Simulator) controlClock(w http.ResponseWriter, r *http.Request) {
	var command struct {
		Advance string `json:"advance"`
	}
	err := readJSON(r, &command)
	by, parseErr := time.ParseDuration(command.Advance)
	if err == nil && (parseErr != nil || by <= 0 || by > advanceLimit) {
		err = refuse(http.StatusBadRequest, "advance", `advance is a duration such as "24h", at most 366 days`)
	}
	if err != nil {
		writeRefusal(w, err)
		return
	}
	replies := s.advance(by)
	if !s.saved500(w) {
		return
	}
	s.mu.Lock()
	now := s.now()
	s.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{"now": now.UTC(), "delivered": len(replies), "replies": replies})
}

// controlState shows everything but secrets, for people.
func (s *Simulator) controlState(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	s.finishRefunds()
	raw, err := json.MarshalIndent(map[string]any{
		"now": s.now().UTC(), "vnpay_terminals": slices.Sorted(maps.Keys(s.merchants)),
		"bank_accounts": s.bankOrder, "state": s.state,
	}, "", "  ")
	s.mu.Unlock()
	if err != nil {
		writeRefusal(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(raw) //nolint:errcheck // the reader has gone
}

// controlStatement hands out VNPAY's settlement file or the bank's statement.
// Asking the bank pays out VNPAY's open batches first.
func (s *Simulator) controlStatement(w http.ResponseWriter, r *http.Request) {
	values, ok := singleValues(r.URL.RawQuery)
	for name := range values {
		ok = ok && slices.Contains([]string{"source", "merchant", "account", "date", "format"}, name)
	}
	if !ok {
		writeRefusal(w, refuse(http.StatusBadRequest, "query", "the query knows source, merchant, account, date and format, each once"))
		return
	}
	day, err := calendar.Parse(values["date"])
	if err != nil {
		writeRefusal(w, refuse(http.StatusBadRequest, "date", "date has the form YYYY-MM-DD"))
		return
	}
	s.mu.Lock()
	s.finishRefunds()
	raw, kind, name, err := s.statement(values, day)
	s.mu.Unlock()
	if err != nil {
		writeRefusal(w, err)
		return
	}
	if !s.saved500(w) {
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", "attachment; filename=\""+name+"\"")
	w.Write(raw) //nolint:errcheck // the reader has gone
}

func (s *Simulator) statement(values map[string]string, day calendar.Date) (raw []byte, kind, name string, err error) {
	if day.After(calendar.On(s.now())) {
		return nil, "", "", refuse(http.StatusUnprocessableEntity, "date", "the day has not begun by the simulator's clock")
	}
	stamp := strings.ReplaceAll(day.String(), "-", "")
	switch source, format := values["source"], values["format"]; {
	case source == "vnpay" && (format == "" || format == "csv"):
		terminal, err := onlyOne("merchant", values["merchant"], slices.Sorted(maps.Keys(s.merchants)))
		if err != nil {
			return nil, "", "", err
		}
		raw, err = s.settlementFile(terminal, day)
		return raw, "text/csv; charset=utf-8", "vnpay-" + terminal + "-" + stamp + ".csv", err
	case source == "bank" && (format == "" || format == "camt053"):
		account, err := onlyOne("account", values["account"], s.bankOrder)
		if err != nil {
			return nil, "", "", err
		}
		s.payOut(account, day)
		raw, err = s.bankStatement(account, day)
		return raw, "application/xml", "bank-" + account + "-" + stamp + ".xml", err
	}
	return nil, "", "", refuse(http.StatusBadRequest, "source", "source is vnpay (format csv) or bank (format camt053)")
}

// onlyOne picks the asked one of the known, or the only one when none is asked.
func onlyOne(what, asked string, known []string) (string, error) {
	if asked == "" && len(known) == 1 {
		return known[0], nil
	}
	if !slices.Contains(known, asked) {
		return "", refuse(http.StatusNotFound, what, "no such %s, or %s is missing", what, what)
	}
	return asked, nil
}

// readJSON reads one object and refuses members that are not known, so that a
// typing mistake in a script does not pass as a default.
func readJSON(r *http.Request, into any) error {
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return refuse(http.StatusBadRequest, "json", "%s", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return refuse(http.StatusBadRequest, "json", "more than one JSON value")
	}
	return nil
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body) //nolint:errcheck,errchkjson // the reader has gone
}

func writeRefusal(w http.ResponseWriter, err error) {
	var r *refusal
	if !errors.As(err, &r) {
		r = &refusal{http.StatusInternalServerError, "internal", "internal error"}
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(r.status)
	json.NewEncoder(w).Encode(map[string]any{ //nolint:errcheck,errchkjson // the reader has gone
		"status": r.status, "title": http.StatusText(r.status), "code": "simulator." + r.code, "detail": r.detail,
	})
}
