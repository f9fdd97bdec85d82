package simulator

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/doisoat/doisoat/internal/calendar"
)

// Outcome is the payer's act and its result.
type Outcome string

// The outcomes.
const (
	Paid      Outcome = "paid"
	Failed    Outcome = "failed"
	Cancelled Outcome = "cancelled"
)

// Known reports whether o is one of the outcomes.
func (o Outcome) Known() bool { return o == Paid || o == Failed || o == Cancelled }

// CallbackMode is a way to deliver a callback.
type CallbackMode string

const (
	callbackDeliver      CallbackMode = "deliver"
	callbackLose         CallbackMode = "lose"
	callbackTwice        CallbackMode = "twice"
	callbackLate         CallbackMode = "late"          // when a script advances the clock, or after a delay
	callbackBadSignature CallbackMode = "bad_signature" // a fault only; applies to every callback while set
)

// Faults are a provider's current faults. They last until a script changes them.
type Faults struct {
	Inquiry  string       `json:"inquiry"`
	Refund   string       `json:"refund"`
	Callback CallbackMode `json:"callback"`
}

// PayCommand is the body of /control/pay.
type PayCommand struct {
	URL      string       `json:"url"`
	QR       string       `json:"qr"`
	Outcome  Outcome      `json:"outcome"`
	Callback CallbackMode `json:"callback"`
	Delay    string       `json:"delay"`
	Amount   *int64       `json:"amount"`
	Content  string       `json:"content"`
	Force    bool         `json:"force"`
}

type callbackResult struct {
	Sent    int     `json:"sent"` // deliveries before this answer
	Replies []reply `json:"replies"`
}

// PayResult answers a PayCommand. For VNPAY it holds VNPAY's number and the
// merchant's reference. For a transfer it holds SePay's id and the bank's
// reference. Amount is whole đồng.
type PayResult struct {
	TransactionNo string         `json:"transaction_no"`
	Reference     string         `json:"reference"`
	Amount        int64          `json:"amount"`
	Content       string         `json:"content,omitempty"`
	Callback      callbackResult `json:"callback"`
}

// controlPay plays a payer. It answers after the receiver has answered the
// callbacks that controlPay sends at once.
func (s *Core) controlPay(w http.ResponseWriter, r *http.Request) {
	var command PayCommand
	if err := readJSON(r, &command); err != nil {
		writeRefusal(w, err)
		return
	}
	result, list, err := s.pay(command)
	if err != nil {
		writeRefusal(w, err)
		return
	}
	if !s.Saved(w) {
		s.release(list...)
		return
	}
	result.Callback.Replies = []reply{}
	for _, d := range list {
		result.Callback.Replies = append(result.Callback.Replies, s.try(d))
		result.Callback.Sent++
	}
	WriteJSON(w, http.StatusOK, result)
}

// pay plays the payer and returns the callbacks to send now.
func (s *Core) pay(c PayCommand) (PayResult, []*Delivery, error) {
	var delay time.Duration
	if c.Delay != "" {
		var err error
		if delay, err = time.ParseDuration(c.Delay); err != nil || delay <= 0 || c.Callback != callbackLate {
			return PayResult{}, nil, Refuse(http.StatusBadRequest, "delay", `delay is a duration such as "10s" and goes with callback "late"`)
		}
	}
	known := []CallbackMode{"", callbackDeliver, callbackLose, callbackTwice, callbackLate}
	switch {
	case (c.URL == "") == (c.QR == ""):
		return PayResult{}, nil, Refuse(http.StatusBadRequest, "target", "give either url or qr")
	case !c.Outcome.Known():
		return PayResult{}, nil, Refuse(http.StatusBadRequest, "outcome", "outcome is paid, failed or cancelled")
	case !slices.Contains(known, c.Callback):
		return PayResult{}, nil, Refuse(http.StatusBadRequest, "callback", "callback is deliver, lose, twice or late")
	case c.Amount != nil && (*c.Amount <= 0 || *c.Amount > 9_999_999_999):
		return PayResult{}, nil, Refuse(http.StatusBadRequest, "amount", "amount is whole dong above zero, at most 9999999999")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, side := range capable[Payable](s) {
		if !side.Takes(c) {
			continue
		}
		result, d, err := side.Pay(c)
		if err != nil || d == nil {
			return result, nil, err
		}
		return result, s.queue(*d, s.mode(d.Sender, c.Callback), delay, false), nil
	}
	return PayResult{}, nil, Refuse(http.StatusBadRequest, "url", "url is not a pay page of a known provider")
}

// mode returns the script's mode, or the mode of the current fault, or normal
// delivery, in this order; the caller holds mu.
func (s *Core) mode(sender string, asked CallbackMode) CallbackMode {
	if asked != "" {
		return asked
	}
	if mode := s.state.Faults[sender].Callback; mode != "" && mode != callbackBadSignature {
		return mode
	}
	return callbackDeliver
}

// controlFaults changes the given members. An empty text ends a fault.
func (s *Core) controlFaults(w http.ResponseWriter, r *http.Request) {
	var command struct {
		Provider string        `json:"provider"`
		Inquiry  *string       `json:"inquiry"`
		Refund   *string       `json:"refund"`
		Callback *CallbackMode `json:"callback"`
	}
	if err := readJSON(r, &command); err != nil {
		writeRefusal(w, err)
		return
	}
	side, words, err := s.faulty(command.Provider)
	if err == nil {
		err = cmp.Or(
			judge(side, "inquiry", command.Inquiry, words.Inquiry), judge(side, "refund", command.Refund, words.Refund),
			judge(side, "callback", (*string)(command.Callback), s.callbackWords(side)),
		)
	}
	if err != nil {
		writeRefusal(w, err)
		return
	}
	s.mu.Lock()
	f := s.state.Faults[side]
	if command.Inquiry != nil {
		f.Inquiry = *command.Inquiry
	}
	if command.Refund != nil {
		f.Refund = *command.Refund
	}
	if command.Callback != nil {
		f.Callback = *command.Callback
	}
	s.state.Faults[side] = f
	s.Changed()
	all := maps.Clone(s.state.Faults)
	s.mu.Unlock()
	if s.Saved(w) {
		WriteJSON(w, http.StatusOK, map[string]any{"faults": all})
	}
}

// faulty finds a side by its name or its alias.
func (s *Core) faulty(name string) (string, FaultWords, error) {
	var known []string
	for _, side := range s.sides {
		var words FaultWords
		if f, ok := side.(Faulty); ok {
			words = f.FaultWords()
		} else if _, sends := side.(Sender); !sends {
			continue
		}
		if name == side.Name() || name != "" && name == words.Alias {
			return side.Name(), words, nil
		}
		known = append(known, side.Name())
	}
	return "", FaultWords{}, Refuse(http.StatusBadRequest, "provider", "provider is one of %s", strings.Join(known, ", "))
}

func (s *Core) callbackWords(side string) []string {
	if _, sends := s.senders[side]; !sends {
		return nil
	}
	return []string{
		string(callbackDeliver), string(callbackLose), string(callbackTwice), string(callbackLate), string(callbackBadSignature),
	}
}

// judge refuses a fault word that the side does not know. It accepts an absent or
// empty word.
func judge(side, kind string, word *string, known []string) error {
	switch {
	case word == nil:
		return nil
	case len(known) == 0:
		return Refuse(http.StatusBadRequest, "provider", "%s has no fault of this kind: %s", side, kind)
	case *word != "" && !slices.Contains(known, *word):
		return Refuse(http.StatusBadRequest, kind, "%s is empty or one of %s", kind, strings.Join(known, ", "))
	}
	return nil
}

// controlClock advances the clock. It answers after the simulator has sent all callbacks that became due.
func (s *Core) controlClock(w http.ResponseWriter, r *http.Request) {
	var command struct {
		Advance string `json:"advance"`
	}
	err := readJSON(r, &command)
	by, parseErr := time.ParseDuration(command.Advance)
	if err == nil && (parseErr != nil || by <= 0 || by > advanceLimit) {
		err = Refuse(http.StatusBadRequest, "advance", `advance is a duration such as "24h", at most 366 days`)
	}
	if err != nil {
		writeRefusal(w, err)
		return
	}
	replies := s.advance(by)
	if !s.Saved(w) {
		return
	}
	s.mu.Lock()
	now := s.Now()
	s.mu.Unlock()
	WriteJSON(w, http.StatusOK, map[string]any{"now": now.UTC(), "delivered": len(replies), "replies": replies})
}

// controlState shows the whole state without secrets, for people.
func (s *Core) controlState(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	s.tick()
	all := map[string]any{"now": s.Now().UTC()}
	for _, side := range capable[Source](s) {
		accounts := side.Accounts()
		all[accounts.Member] = accounts.Known
	}
	kept, err := s.encode()
	all["state"] = json.RawMessage(kept)
	var raw []byte
	if err == nil {
		raw, err = json.MarshalIndent(all, "", "  ")
	}
	s.mu.Unlock()
	if err != nil {
		writeRefusal(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(raw) //nolint:errcheck // the reader has gone
}

// controlStatement answers with a source's file of a day.
func (s *Core) controlStatement(w http.ResponseWriter, r *http.Request) {
	values, ok := SingleValues(r.URL.RawQuery)
	known := []string{"source", "date", "format"}
	s.mu.Lock()
	for _, side := range capable[Source](s) {
		known = append(known, side.Accounts().Query)
	}
	s.mu.Unlock()
	for name := range values {
		ok = ok && slices.Contains(known, name)
	}
	if !ok {
		writeRefusal(w, Refuse(http.StatusBadRequest, "query", "the query knows %s, each once", strings.Join(known, ", ")))
		return
	}
	day, err := calendar.Parse(values["date"])
	if err != nil {
		writeRefusal(w, Refuse(http.StatusBadRequest, "date", "date has the form YYYY-MM-DD"))
		return
	}
	s.mu.Lock()
	s.tick()
	file, name, err := s.statement(values, day)
	s.mu.Unlock()
	if err != nil {
		writeRefusal(w, err)
		return
	}
	if !s.Saved(w) {
		return
	}
	w.Header().Set("Content-Type", file.Type)
	w.Header().Set("Content-Disposition", "attachment; filename=\""+name+"\"")
	w.Write(file.Content) //nolint:errcheck // the reader has gone
}

// statement gets the file of a source and chooses its name; the caller holds mu.
func (s *Core) statement(values map[string]string, day calendar.Date) (file File, name string, err error) {
	if day.After(calendar.On(s.Now())) {
		return File{}, "", Refuse(http.StatusUnprocessableEntity, "date", "the day has not begun by the simulator's clock")
	}
	source, ok := find[Source](s, values["source"])
	if !ok {
		return File{}, "", Refuse(http.StatusBadRequest, "source", "no such source: %q", values["source"])
	}
	if format := values["format"]; format != "" && format != source.Format() {
		return File{}, "", Refuse(http.StatusBadRequest, "source", "%s issues %s only", source.Name(), source.Format())
	}
	accounts := source.Accounts()
	account, err := onlyOne(accounts.Query, values[accounts.Query], accounts.Known)
	if err != nil {
		return File{}, "", err
	}
	if file, err = source.Statement(account, day); err != nil {
		return File{}, "", err
	}
	stamp := strings.ReplaceAll(day.String(), "-", "")
	return file, source.Name() + "-" + account + "-" + stamp + "." + file.Extension, nil
}

// onlyOne returns the asked account when it is known. When the script asks for
// none, onlyOne returns the only known account.
func onlyOne(name, asked string, known []string) (string, error) {
	if asked == "" && len(known) == 1 {
		return known[0], nil
	}
	if !slices.Contains(known, asked) {
		return "", Refuse(http.StatusNotFound, name, "no such %s, or %s is missing", name, name)
	}
	return asked, nil
}
