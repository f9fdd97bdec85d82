package vnpay

import "encoding/json"

// RequestHash signs a merchant API request. Tests play the merchant with it.
func RequestHash(secret string, request map[string]string) string {
	return sha512MAC(secret, messageOf(request).requestText())
}

func messageOf(members map[string]string) *apiMessage {
	raw, err := json.Marshal(members)
	if err != nil {
		panic(err)
	}
	var m apiMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		panic(err)
	}
	return &m
}

// ResponseHash recomputes the signature of an answer.
func ResponseHash(secret string, answer map[string]any) string {
	members := map[string]string{}
	for name, v := range answer {
		members[name], _ = v.(string)
	}
	return sha512MAC(secret, messageOf(members).responseText())
}
