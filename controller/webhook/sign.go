package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The headers of a delivery.
const (
	SignatureHeader = "Hostler-Signature" // t=SECONDS,v1=HEX
	deliveryHeader  = "Hostler-Delivery"  // the id of the delivery, the same if it is repeated
	eventHeader     = "Hostler-Event"     // the event's kind
)

// sign returns the signature of a body at a time: HMAC-SHA256 under the secret of the Unix time in
// seconds, a dot and the body.
func sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac(secret, t, body))
}

func mac(secret, t string, body []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(t + "."))
	h.Write(body)
	return h.Sum(nil)
}

// Verify returns what is wrong with a delivery's signature, or nil. It may be of another secret or
// body. It may also be older or newer than tolerance, as in a replay; a tolerance of 0 allows any
// time.
func Verify(secret, signature string, body []byte, now time.Time, tolerance time.Duration) error {
	var t string
	var given []byte
	for part := range strings.SplitSeq(signature, ",") {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "t":
			t = value
		case "v1":
			given, _ = hex.DecodeString(value)
		}
	}
	at, err := strconv.ParseInt(t, 10, 64)
	if err != nil || !hmac.Equal(given, mac(secret, t, body)) {
		return errors.New("the signature is not of this secret and body")
	}
	if off := now.Sub(time.Unix(at, 0)).Abs(); tolerance > 0 && off > tolerance {
		return fmt.Errorf("it was signed %v ago", off)
	}
	return nil
}
