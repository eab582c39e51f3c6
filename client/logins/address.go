package logins

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/hostler-project/hostler/compute/fault"
)

// Address returns the full form of a controller's address. https:// and the common end of
// all addresses may be left out.
func Address(typed string) (string, error) {
	wrong := func(err error) error {
		return fault.Invalid("hostler login https://hostler.example.org:7070", "%q is no address of a controller: %w", typed, err)
	}
	text := typed
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", wrong(errors.Unwrap(err))
	case u.Scheme != "https" && u.Scheme != "http":
		return "", wrong(fmt.Errorf("%s:// is spoken to none", u.Scheme))
	case u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", wrong(errors.New("it is https://HOST, with a port or without"))
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == map[string]string{"https": "443", "http": "80"}[u.Scheme] {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host + strings.TrimRight(u.Path, "/"), nil
}
