package cache

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha1" // the format wants it
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"sync"
)

// An Entry is the cache's description of one content for a key. Fields that its kind does not have
// are empty.
type Entry struct {
	SHA512    string // of the content, in hexadecimal digits
	Release   string // URL of the software release
	Root      string // the directory in which the release was built
	Multiarch string // as in x86_64-linux-gnu
	Machine   string // older entries: as in x86_64
	OS        OS
	URL       string // of a file that was downloaded
	Basename  string // of a file of a Python package
	Signed    bool   // there is a signature
	Trusted   bool   // it is of one of the reader's certificates
}

// An OS names an operating system.
type OS struct{ ID, Version, Codename string }

// UnmarshalJSON reads the three as a list, or as a Python tuple in a text, as older entries have
// it.
func (o *OS) UnmarshalJSON(data []byte) error {
	var words []string
	if data[0] == '"' {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		for _, m := range quoted().FindAllStringSubmatch(text, -1) {
			words = append(words, m[1]+m[2])
		}
	} else if err := json.Unmarshal(data, &words); err != nil {
		return err
	}
	if string(data) == "null" {
		return nil
	}
	if len(words) != 3 {
		return errors.New("os has not its three parts")
	}
	*o = OS{words[0], words[1], words[2]}
	return nil
}

var quoted = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`'([^'\\]*)'|"([^"\\]*)"`) })

// parseEntries reads the answer of a directory. odd is the number of its malformed entries.
func parseEntries(body []byte, signers []*x509.Certificate) (entries []Entry, odd int, err error) {
	var pairs []json.RawMessage
	if err := json.Unmarshal(body, &pairs); err != nil {
		return nil, 0, errors.New("the answer is no list of entries")
	}
	for _, pair := range pairs {
		e, err := parseEntry(pair, signers)
		if err != nil {
			odd++
			continue
		}
		entries = append(entries, e)
	}
	return entries, odd, nil
}

// parseEntry reads one entry: a JSON list of its text and its signature. A bad signature is no
// error; the entry is then not Trusted.
func parseEntry(pair []byte, signers []*x509.Certificate) (Entry, error) {
	var texts []string
	if err := json.Unmarshal(pair, &texts); err != nil {
		return Entry{}, err
	}
	if len(texts) != 2 {
		return Entry{}, errors.New("an entry has a text and a signature")
	}
	var read struct {
		SHA512    string `json:"sha512"`
		Release   string `json:"software_url"`
		Root      string `json:"software_root"`
		Multiarch string `json:"multiarch"`
		Machine   string `json:"machine"`
		OS        OS     `json:"os"`
		URL       string `json:"url"`
		Basename  string `json:"basename"`
	}
	if err := json.Unmarshal([]byte(texts[0]), &read); err != nil {
		return Entry{}, err
	}
	if !isHex(read.SHA512, 128) {
		return Entry{}, errors.New("sha512 is no digest")
	}
	return Entry{SHA512: read.SHA512, Release: read.Release, Root: read.Root, Multiarch: read.Multiarch,
		Machine: read.Machine, OS: read.OS, URL: read.URL,
		Basename: read.Basename, Signed: texts[1] != "", Trusted: signed(texts[0], texts[1], signers)}, nil
}

// formEntry is an entry as it is put into a directory.
func formEntry(text, signature string) string {
	body, _ := json.Marshal([2]string{text, signature}) // texts never fail
	return string(body)
}

// sign makes the signature of an entry's text.
func sign(text string, key *rsa.PrivateKey) (string, error) {
	hash := sha1.Sum([]byte(text))
	s, err := rsa.SignPKCS1v15(nil, key, crypto.SHA1, hash[:])
	return base64.StdEncoding.EncodeToString(s), err
}

// signed says whether one of the certificates signed a text.
func signed(text, signature string, signers []*x509.Certificate) bool {
	s, err := base64.StdEncoding.DecodeString(signature)
	if err != nil || len(s) == 0 {
		return false
	}
	hash := sha1.Sum([]byte(text))
	for _, c := range signers {
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && rsa.VerifyPKCS1v15(key, crypto.SHA1, hash[:], s) == nil {
			return true
		}
	}
	return false
}

// ParseSigners reads the certificates of a list, one after the other in PEM. All must be of RSA
// keys.
func ParseSigners(list string) ([]*x509.Certificate, error) {
	rest := bytes.TrimSpace([]byte(list))
	var all []*x509.Certificate
	for len(rest) > 0 {
		var block *pem.Block
		n := len(all) + 1
		if block, rest = pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("certificate %d cannot be read: no certificate in PEM begins there", n)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read: %w", n, err)
		}
		if _, ok := c.PublicKey.(*rsa.PublicKey); !ok {
			return nil, fmt.Errorf("certificate %d is not of an RSA key", n)
		}
		all, rest = append(all, c), bytes.TrimSpace(rest)
	}
	return all, nil
}
