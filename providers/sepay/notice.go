package sepay

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/doisoat/doisoat/internal/calendar"
	"github.com/doisoat/doisoat/internal/money"
	"github.com/doisoat/doisoat/providers"
	"github.com/doisoat/doisoat/providers/transfers"
)

// maxBody limits the bytes of a notice. Real notices have about 500 bytes.
const maxBody = 8 << 10

// settingAccount names the collecting account of the merchant. A virtual account is allowed.
const settingAccount = "account"

// reasonOut marks money that left the account.
const reasonOut = "out"

// Translate reads a verified notice. A credit is Succeeded. Its Reference is
// empty unless code and content name exactly one of our references. A debit is
// Declined with Reason "out" and no Reference: the caller keeps the notice and
// does nothing. A missing member or a wrong type gives ErrMessage.
func (*Provider) Translate(m providers.Merchant, c providers.RawCallback) (providers.Event, error) {
	if len(c.Body) > maxBody {
		return providers.Event{}, providers.ErrMessage.With("notice is longer than %d bytes", maxBody)
	}
	notice, err := providers.DecodeMembers(c.Body)
	if err != nil {
		return providers.Event{}, err
	}
	id, err := integer(notice, "id")
	if err != nil {
		return providers.Event{}, err
	}
	amount, err := integer(notice, "transferAmount")
	if err != nil {
		return providers.Event{}, err
	}
	at, err := time.ParseInLocation(time.DateTime, text(notice, "transactionDate"), calendar.HoChiMinh)
	if err != nil {
		return providers.Event{}, providers.ErrMessage.With("transactionDate is not yyyy-MM-dd HH:mm:ss")
	}
	event := providers.Event{
		ID:            strconv.FormatInt(id, 10),
		TransactionID: strconv.FormatInt(id, 10),
		BankReference: text(notice, "referenceCode"),
		Amount:        money.Dong(amount),
		OccurredAt:    at,
		Content:       text(notice, "content"),
		Account:       account(m, notice),
	}
	if event.Account == "" {
		return providers.Event{}, providers.ErrMessage.With("accountNumber is missing")
	}
	switch direction := text(notice, "transferType"); direction {
	case "in":
		event.Outcome, event.Reason = providers.Succeeded, "in"
		event.Reference = reference(notice)
	case "out":
		event.Outcome, event.Reason = providers.Declined, reasonOut
	default:
		return providers.Event{}, providers.ErrMessage.With("transferType is neither in nor out")
	}
	return event, nil
}

// reference returns the only one of our references in code and content, "" when
// there are none or several. A payer can write any text. Therefore a notice with
// two references pays neither payment, and a person decides.
func reference(notice providers.Members) string {
	found := transfers.References(text(notice, "code") + " " + text(notice, "content"))
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

// account returns the virtual account of the notice when the merchant collects
// on this virtual account, and the bank account otherwise.
func account(m providers.Merchant, notice providers.Members) string {
	if sub := text(notice, "subAccount"); sub != "" && sub == m.Settings[settingAccount] {
		return sub
	}
	return text(notice, "accountNumber")
}

// integer reads a positive whole number from its digits: a float would lose some of them.
func integer(notice providers.Members, name string) (int64, error) {
	value, _ := notice.Find(name)
	number, ok := value.(json.Number)
	if !ok {
		return 0, providers.ErrMessage.With("%s is not a number", name)
	}
	n, err := strconv.ParseInt(number.String(), 10, 64)
	if err != nil || n <= 0 {
		return 0, providers.ErrMessage.With("%s is not a positive whole number", name)
	}
	return n, nil
}

// text reads a text member; null counts as empty.
func text(notice providers.Members, name string) string {
	value, _ := notice.Find(name)
	s, _ := value.(string)
	return s
}
