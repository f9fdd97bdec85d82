package vietqr

import (
	"slices"
	"strings"

	"github.com/doisoat/doisoat/internal/fault"
	"github.com/doisoat/doisoat/providers"
)

// CheckVector judges one code with Parse. The "signature" of a code is its
// checksum, and the canonical text is the part before the checksum. Without a
// payload CheckVector writes the code from the fields, in their order.
func CheckVector(v providers.Vector) providers.VectorResult {
	result := providers.VectorResult{ID: v.ID, Signature: v.Signature}
	if v.Operation != "qr" {
		result.Reason = "unknown operation " + v.Operation
		return result
	}
	written, err := writeFields(v.Fields)
	payload := v.Payload
	if payload == "" && err == nil {
		given := v.Signature
		if !v.Signed {
			given = v.Fields.Text("63")
		}
		if given == "" && !v.Signed {
			given = checksum(written)
		}
		payload = written + given
	}
	at := max(len(payload)-4, 0)
	if i := strings.LastIndex(payload, crcObject); i >= 0 && v.Payload == "" {
		at = i + len(crcObject)
	}
	result.Canonical = payload[:at]
	if !v.Signed {
		result.Signature = payload[at:]
	}
	if computed := checksum(result.Canonical); payload != "" && computed != result.Signature {
		result.Computed = computed
	}
	switch _, wrong := Parse(payload); {
	case payload == "":
		result.Reason = "neither payload nor objects are given"
	case wrong != nil:
		result.Reason = reasonOf(wrong)
	case result.Computed != "":
		result.Reason = "signature is not the checksum of the payload"
	case v.Payload != "" && err == nil && written != "" && written != result.Canonical:
		result.Reason = "fields and payload differ"
	}
	result.Accepted = result.Reason == ""
	return result
}

// writeFields writes the objects of a vector without the value of the checksum.
// It fails with ErrCode when the vector gives no objects.
func writeFields(fields providers.Members) (string, error) {
	if fields.Text("00") == "" {
		return "", ErrCode.With("no objects are given")
	}
	signed := slices.DeleteFunc(slices.Clone(fields), func(f providers.Member) bool { return f.Name == "63" })
	var b strings.Builder
	if err := writeMembers(&b, signed); err != nil {
		return "", err
	}
	b.WriteString(crcObject)
	return b.String(), nil
}

func writeMembers(b *strings.Builder, fields providers.Members) error {
	for _, f := range fields {
		value, ok := f.Value.(string)
		if list, nested := f.Value.(providers.Members); nested {
			var inner strings.Builder
			if err := writeMembers(&inner, list); err != nil {
				return err
			}
			value, ok = inner.String(), true
		}
		if !ok || len(f.Name) != 2 || len(value) > 99 {
			return ErrCode.With("object %q is not text of at most 99 characters", f.Name)
		}
		writeObject(b, f.Name, value)
	}
	return nil
}

func reasonOf(err error) string {
	if f, ok := fault.Of(err); ok {
		return f.Message
	}
	return "code is malformed"
}
