package cfg

import (
	"net/url"
	"slices"
	"strings"
)

// A Client says which master a client speaks to, and with which identity.
type Client struct {
	Master, Rest      string // URLs; Rest of the hypermedia API, "" asks the master
	CertFile, KeyFile string // the client's identity; both or none
	CAFile            string // authorities for the master's certificate; "": this machine's
	Aliases           []Alias
}

// An Alias is a short name for a software release.
type Alias struct{ Name, URL string }

// Client reads what a client needs. The sections are [slapos] and, with the names that only
// people's commands and the console have, [slapconsole].
func (f *File) Client() (*Client, error) {
	c := &Client{}
	for key, to := range map[string]*string{
		"master_url": &c.Master, "master_rest_url": &c.Rest, "cert_file": &c.CertFile, "key_file": &c.KeyFile,
		"master_ca_file": &c.CAFile,
	} {
		text, err := f.First(key, "slapconsole", "slapos")
		if err != nil {
			return nil, err
		}
		*to = text
	}
	for _, file := range []*string{&c.CertFile, &c.KeyFile, &c.CAFile} {
		*file = Home(*file)
	}
	if c.Master == "" {
		return nil, f.Fail(
			"slapos", "master_url",
			"is not there: it says which master to speak to, as in master_url = https://slap.example.com",
		)
	}
	u, err := url.Parse(c.Master)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, f.Fail(f.where("master_url"), "master_url", "is no URL with http or https, as in master_url = https://slap.example.com")
	}
	if u.Scheme == "https" && (c.CertFile == "" || c.KeyFile == "") {
		return nil, f.Fail(
			f.where("key_file"), "key_file",
			"and cert_file are needed: the master is reached by https and wants to know who asks",
		)
	}
	lines, err := f.Lines("slapconsole", "alias")
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		words := strings.Fields(line)
		if len(words) != 2 {
			return nil, f.Fail("slapconsole", "alias", "has a line that is not NAME URL: %q", line)
		}
		if slices.ContainsFunc(c.Aliases, func(a Alias) bool { return a.Name == words[0] }) {
			return nil, f.Fail("slapconsole", "alias", "has %s twice", words[0])
		}
		c.Aliases = append(c.Aliases, Alias{words[0], words[1]})
	}
	return c, nil
}

// where is the section of the client's that has a key.
func (f *File) where(key string) string {
	if f.Has("slapconsole", key) {
		return "slapconsole"
	}
	return "slapos"
}

// Release is the URL that an alias stands for, or the text itself.
func (c *Client) Release(text string) string {
	for _, a := range c.Aliases {
		if a.Name == text {
			return a.URL
		}
	}
	return text
}
