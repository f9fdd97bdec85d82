package providers

import (
	"io"
	"strconv"
	"time"

	"github.com/doisoat/doisoat/internal/jsondoc"
)

// maxVectorFile limits the bytes that `doisoat signature` reads.
const maxVectorFile = 8 << 20

// Vector is one message whose signature a person checks by hand: the signed
// fields, the secrets, and the text on the wire. It has the shape of the
// published test vectors. Only Provider and Operation are mandatory.
type Vector struct {
	ID        string
	Provider  string
	Operation string
	Secrets   Members
	Fields    Members
	// Signature is the value on the wire; Signed says that the file names one, even an empty one.
	Signature string
	Signed    bool
	Wire      string    // complete URL or query string, as it travelled
	Payload   string    // complete VietQR text
	Expect    string    // accept or reject, "" when the file does not say
	ReceiveAt time.Time // receiver's clock for time windows; zero when not given
}

// Secret returns the live values of one secret: a text, or a list of texts newest first.
func (v Vector) Secret(name string) []string {
	switch value, _ := v.Secrets.Find(name); s := value.(type) {
	case string:
		return []string{s}
	case []any:
		var list []string
		for _, one := range s {
			if text, ok := one.(string); ok {
				list = append(list, text)
			}
		}
		return list
	default:
		return nil
	}
}

// VectorResult is the verdict over one Vector. Computed is our own signature,
// given when it differs from Signature. The result holds no secret, with one
// exception: a protocol without a signature has the shared key as its canonical text.
type VectorResult struct {
	ID        string `json:"id"`
	Canonical string `json:"canonical"`
	Signature string `json:"signature"`
	Computed  string `json:"computed,omitempty"`
	Accepted  bool   `json:"accepted"`
	Reason    string `json:"reason"`
}

// DecodeVectors reads one vector or a list of them. It fails with ErrMessage.
func DecodeVectors(r io.Reader) ([]Vector, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxVectorFile+1))
	if err != nil {
		return nil, ErrMessage.With("file cannot be read").Because(err)
	}
	if len(data) > maxVectorFile {
		return nil, ErrMessage.With("file is larger than %d bytes", maxVectorFile)
	}
	value, err := decodeJSON(data, jsondoc.FileTokens)
	if err != nil {
		return nil, err
	}
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	vectors := make([]Vector, 0, len(list))
	for i, item := range list {
		object, ok := item.(Members)
		if !ok {
			return nil, ErrMessage.With("element %d is not an object", i)
		}
		vector, err := vectorOf(object)
		if err != nil {
			return nil, err
		}
		vectors = append(vectors, vector)
	}
	return vectors, nil
}

func vectorOf(object Members) (Vector, error) {
	v := Vector{
		ID: object.Text("id"), Provider: object.Text("provider"), Operation: object.Text("operation"),
		Secrets: object.Object("secrets"), Fields: object.Object("fields"),
		Signature: object.Text("signature"), Wire: object.Text("wire"), Payload: object.Text("payload"), Expect: object.Text("expect"),
	}
	_, v.Signed = object.Find("signature")
	if v.Provider == "" || v.Operation == "" {
		return Vector{}, ErrMessage.With("message %q names no provider or no operation", v.ID)
	}
	for name, unit := range map[string]func(int64) time.Time{
		"receive_time":    func(n int64) time.Time { return time.Unix(n, 0) },
		"receive_time_ms": time.UnixMilli,
	} {
		text := object.Text(name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return Vector{}, ErrMessage.With("message %q: %s is not a whole number", v.ID, name)
		}
		v.ReceiveAt = unit(n)
	}
	return v, nil
}
