package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSlowKey: a request with a key whose body does not come is refused, as one without.
func TestSlowKey(t *testing.T) {
	at := strings.TrimPrefix(remembering(t, engine(t), nil), "http://")
	body := `{"source": "web"}`
	for _, c := range []struct {
		body   string
		status int
	}{{body, http.StatusCreated}, {body[:5], http.StatusRequestTimeout}} {
		conn, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		if _, err := fmt.Fprintf(
			conn, "POST /v1/leases%sIdempotency-Key: k%d\r\nContent-Length: %d\r\n\r\n%s", preface, c.status, len(body),
			c.body,
		); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%q: err = %v; want no error", c.body, err)
		}
		text, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != c.status {
			t.Errorf("%q: answer.Status = %s text = %s; want answer.StatusCode == c.status", c.body, answer.Status, text)
		}
	}
}
