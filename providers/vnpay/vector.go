package vnpay

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/providers"
)

// CheckVector judges one message with the code that serves callbacks, return
// pages and API calls. It needs no merchant account, database or network. It
// signs a request of this system when the vector gives no signature. It refuses
// an answer or a notification without a signature.
func CheckVector(v providers.Vector) providers.VectorResult {
	result := providers.VectorResult{ID: v.ID, Signature: v.Signature}
	secrets := liveSecrets(providers.Merchant{Secrets: map[string][]string{secretHash: v.Secret(secretHash)}})
	values, err := valuesOf(v.Fields)
	switch {
	case len(secrets) == 0:
		result.Reason = "no " + secretHash + " is given"
		return result
	case err != nil:
		result.Reason = reasonOf(err)
		return result
	}
	check := verdict{vector: v, secrets: secrets, values: values, result: result}
	switch v.Operation {
	case "pay":
		check.query(true)
	case "ipn", "return":
		check.query(false)
	case "querydr_request":
		check.joined(queryRequest, true)
	case "querydr_response":
		check.joined(queryResponse, false)
	case "refund_request":
		check.joined(refundRequest, true)
	case "refund_response":
		check.joined(refundResponse, false)
	default:
		check.result.Reason = "unknown operation " + v.Operation
	}
	return check.result
}

// verdict collects the result of one vector.
type verdict struct {
	vector  providers.Vector
	secrets []string
	values  map[string]string
	result  providers.VectorResult
}

// query judges the parameters of an address. The fields, when there are any,
// give the canonical text. The text on the wire, when there is one, must pass
// the checks of its receiver.
func (d *verdict) query(ours bool) {
	wire := d.vector.Wire
	if before, query, ok := strings.Cut(wire, "?"); ok && strings.Contains(before, "://") {
		wire = query
	}
	shown, wireFault := parseQuery(wire)
	if wireFault != nil && len(d.values) == 0 {
		d.result.Reason = reasonOf(wireFault)
		return
	}
	if len(d.values) > 0 {
		fields := message{values: map[string]string{}, hash: shown.hash}
		for name, value := range d.values {
			fields.set(name, value)
		}
		shown = fields
	}
	if d.vector.Signed {
		shown.hash = d.vector.Signature
	}
	text, fits := shown.verify(d.secrets)
	d.conclude(text, shown.hash, fits, ours, func() error {
		if wireFault != nil {
			return wireFault
		}
		if wire == "" {
			wire = text + "&" + hashName + "=" + url.QueryEscape(d.result.Signature)
		}
		return d.receive(shown, wire, ours)
	})
}

// receive passes a query through the checks of its receiver.
func (d *verdict) receive(shown message, wire string, ours bool) error {
	if ours {
		if _, err := readAmount(shown.values["vnp_Amount"]); err != nil {
			return err
		}
	}
	merchant := providers.Merchant{
		Settings: map[string]string{settingTerminal: shown.values["vnp_TmnCode"]},
		Secrets:  map[string][]string{secretHash: d.secrets},
	}
	c := providers.RawCallback{RawQuery: wire}
	if err := (*Provider)(nil).Verify(merchant, c); err != nil || ours {
		return err
	}
	_, err := (*Provider)(nil).Translate(merchant, c)
	return err
}

// joined judges an API request or answer.
func (d *verdict) joined(order []string, ours bool) {
	text, err := joined(order, func(name string) string { return d.values[name] })
	given := d.values[hashName]
	if d.vector.Signed {
		given = d.vector.Signature
	}
	d.conclude(text, given, signedBy(d.secrets, text, given), ours, func() error {
		if amount := d.values["vnp_Amount"]; err == nil && amount != "" {
			_, err = readAmount(amount)
		}
		return err
	})
}

// conclude sets the signature of the wire and, when it does not fit, also the
// computed signature. It calls rule only for a message with a right signature.
func (d *verdict) conclude(text, given string, fits, ours bool, rule func() error) {
	d.result.Canonical, d.result.Signature = text, given
	computed := sign(d.secrets[0], text)
	switch {
	case given == "" && !d.vector.Signed:
		d.result.Signature = computed
		if !ours {
			d.result.Reason = "signature is missing"
		}
	case !fits:
		d.result.Computed, d.result.Reason = computed, "signature is wrong"
		if given == "" {
			d.result.Reason = "signature is missing"
		}
	}
	if d.result.Reason == "" {
		d.result.Reason = reasonOf(rule())
	}
	d.result.Accepted = d.result.Reason == ""
}

// valuesOf reads the fields as text; null is the same as absent.
func valuesOf(fields providers.Members) (map[string]string, error) {
	values := map[string]string{}
	for _, field := range fields {
		switch value := field.Value.(type) {
		case string:
			values[field.Name] = value
		case json.Number:
			values[field.Name] = value.String()
		case nil:
		default:
			return nil, providers.ErrMessage.With("%s is neither text nor number", field.Name)
		}
	}
	return values, nil
}

func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	if f, ok := fault.Of(err); ok {
		return f.Message
	}
	return "message is malformed"
}
