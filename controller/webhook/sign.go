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
	DeliveryHeader  = "Hostler-Delivery"  // the delivery's id: one that comes twice has it twice
	EventHeader     = "Hostler-Event"     // the event's kind
)

// Sign is the signature of a body at a time: HMAC-SHA256 of the seconds since 1970, a dot and the
// body, under the secret.
func Sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac(secret, t, body))
}

func mac(secret, t string, body []byte) []byte {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(t + "."))
	h.Write(body)
	return h.Sum(nil)
}

// Verify reports what is wrong with a delivery's signature: another secret or body, or it was made
// longer than tolerance before or after now, so that somebody may be repeating it. A tolerance of 0
// asks for no time.
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
