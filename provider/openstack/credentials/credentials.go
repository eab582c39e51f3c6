// Package credentials finds what a client needs to log in to an OpenStack, in clouds.yaml or in the
// environment.
package credentials

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"go.yaml.in/yaml/v3"

	"github.com/hostler-project/hostler/compute"
)

// Credentials are what a client needs to use a project of a cloud. Errors and logs never show their
// secrets.
type Credentials struct {
	Auth         gophercloud.AuthOptions
	Region       string
	Availability gophercloud.Availability // which endpoints: public, internal or admin
	// a file of certificates that are trusted besides the system's; "": none
	CACert string
	// files with the client's own certificate and its key; "": none
	Cert, Key string
	Insecure  bool // clouds.yaml says verify: false
	// where they were read, for messages: "cloud lab of /etc/openstack/clouds.yaml"
	From string
}

// Where says where to look for credentials. The zero value looks where OpenStack's client does.
type Where struct {
	// a name in clouds.yaml; "": OS_CLOUD, and without that the OS_ variables
	Cloud string
	// the path of clouds.yaml; "": OS_CLIENT_CONFIG_FILE, else ./clouds.yaml, the user's
	// openstack/clouds.yaml, /etc/openstack/clouds.yaml
	File   string
	Region string              // replaces the region that is found; "": that one
	Getenv func(string) string // the environment; nil: os.Getenv
}

// cloudEntry is the entry of one cloud in clouds.yaml. Fields that we do not need are ignored.
type cloudEntry struct {
	Auth         map[string]string `yaml:"auth"`
	AuthType     string            `yaml:"auth_type"`
	Region       string            `yaml:"region_name"`
	Regions      []any             `yaml:"regions"`
	EndpointType string            `yaml:"endpoint_type"`
	Interface    string            `yaml:"interface"`
	Verify       *bool             `yaml:"verify"`
	CACert       string            `yaml:"cacert"`
	Cert         string            `yaml:"cert"`
	Key          string            `yaml:"key"`
}

// Find reads the credentials. It does no network I/O. ErrInvalid: something is missing.
// The error says what, and where it was looked for.
func Find(w Where) (Credentials, error) {
	if w.Getenv == nil {
		w.Getenv = os.Getenv
	}
	env := w.Getenv
	name := cmp.Or(w.Cloud, env("OS_CLOUD"))
	var c Credentials
	var err error
	if name != "" {
		c, err = fromFile(name, w)
	} else {
		c, err = fromEnvironment(env)
	}
	if err != nil {
		return Credentials{}, &compute.Error{Op: "openstack.Credentials", ID: compute.ID(name), Kind: compute.ErrInvalid, Err: err,
			Hint: "name a cloud of clouds.yaml (cloud in the source, --cloud, $OS_CLOUD), or source the rc file of the cloud's web page"}
	}
	c.Region = cmp.Or(w.Region, c.Region)
	c.Auth.AllowReauth = true
	return c, nil
}

// files lists the possible paths of clouds.yaml.
func (w Where) files() []string {
	if one := cmp.Or(w.File, w.Getenv("OS_CLIENT_CONFIG_FILE")); one != "" {
		return []string{one}
	}
	config := w.Getenv("XDG_CONFIG_HOME")
	if home := w.Getenv("HOME"); config == "" && home != "" {
		config = filepath.Join(home, ".config")
	}
	out := []string{"clouds.yaml"}
	if config != "" {
		out = append(out, filepath.Join(config, "openstack", "clouds.yaml"))
	}
	return append(out, "/etc/openstack/clouds.yaml")
}

// readClouds reads the clouds of a clouds.yaml. An error of the format quotes no values, which
// may be secrets.
func readClouds(file string) (map[string]cloudEntry, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var all struct {
		Clouds map[string]cloudEntry `yaml:"clouds"`
	}
	if err := yaml.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("%s is no clouds.yaml: %s", file, placeOnly(err))
	}
	return all.Clouds, nil
}

// placeOnly returns a YAML error without the values that it quotes, as these may be secrets.
func placeOnly(err error) string {
	var typed *yaml.TypeError
	if !errors.As(err, &typed) {
		if text := err.Error(); strings.HasPrefix(text, "yaml: line ") { // it has only the form
			return text
		}
		return "it has a value that cannot be read: one that begins with *, & or ! is to stand between quotes"
	}
	var out []string
	for _, e := range typed.Errors {
		place, _, _ := strings.Cut(e, ":")
		out = append(out, place)
	}
	return "what is at " + strings.Join(out, ", ") + " is of another type than it must be"
}

// fromFile reads the credentials of one cloud from clouds.yaml.
func fromFile(name string, w Where) (Credentials, error) {
	var all map[string]cloudEntry
	var file string
	var err error
	for _, file = range w.files() {
		if all, err = readClouds(file); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Credentials{}, fmt.Errorf("there is no clouds.yaml: looked for %s", strings.Join(w.files(), ", "))
	case err != nil:
		return Credentials{}, err
	}
	entry, ok := all[name]
	if !ok {
		var known []string
		for k := range all {
			known = append(known, k)
		}
		slices.Sort(known)
		return Credentials{}, fmt.Errorf("%s has no cloud %s, but %s", file, name, cmp.Or(strings.Join(known, ", "), "none"))
	}
	secure, err := readClouds(filepath.Join(filepath.Dir(file), "secure.yaml"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Credentials{}, err
	}
	if s, ok := secure[name]; ok {
		if entry.Auth == nil {
			entry.Auth = map[string]string{}
		}
		for k, v := range s.Auth {
			entry.Auth[k] = v
		}
		entry.CACert, entry.Cert, entry.Key = cmp.Or(s.CACert, entry.CACert), cmp.Or(s.Cert, entry.Cert), cmp.Or(s.Key, entry.Key)
		entry.AuthType, entry.Region = cmp.Or(s.AuthType, entry.AuthType), cmp.Or(s.Region, entry.Region)
	}
	if len(entry.Regions) > 0 && entry.Region == "" {
		switch r := entry.Regions[0].(type) {
		case string:
			entry.Region = r
		case map[string]any:
			entry.Region, _ = r["name"].(string)
		}
	}
	// If OS_CLOUD names the cloud, the environment may also choose its region and interface.
	if w.Cloud == "" {
		entry.Region, entry.Interface = cmp.Or(w.Getenv("OS_REGION_NAME"), entry.Region), cmp.Or(w.Getenv("OS_INTERFACE"), entry.Interface)
		entry.CACert = cmp.Or(w.Getenv("OS_CACERT"), entry.CACert)
	}
	c, err := credentials(func(key string) string { return entry.Auth[key] }, entry.AuthType)
	if err != nil {
		return c, fmt.Errorf("cloud %s of %s: %w", name, file, err)
	}
	c.Region, c.CACert, c.Cert, c.Key = entry.Region, entry.CACert, entry.Cert, entry.Key
	c.Availability, err = availability(cmp.Or(entry.EndpointType, entry.Interface))
	c.Insecure = entry.Verify != nil && !*entry.Verify
	c.From = "cloud " + name + " of " + file
	return c, err
}

// fromEnvironment reads the variables OS_... that the openstack client reads. Older names count
// where the newer one is empty.
func fromEnvironment(env func(string) string) (Credentials, error) {
	if env("OS_AUTH_URL") == "" {
		return Credentials{}, errors.New("no cloud is named, and $OS_AUTH_URL is not set")
	}
	c, err := credentials(func(key string) string {
		v := env("OS_" + strings.ToUpper(key))
		switch key {
		case "user_id":
			v = cmp.Or(v, env("OS_USERID"))
		case "project_id":
			v = cmp.Or(v, env("OS_TENANT_ID"))
		case "project_name":
			v = cmp.Or(v, env("OS_TENANT_NAME"))
		case "token":
			v = cmp.Or(v, env("OS_AUTH_TOKEN"))
		}
		return v
	}, env("OS_AUTH_TYPE"))
	if err != nil {
		return c, fmt.Errorf("in the environment %w", err)
	}
	c.Region, c.CACert, c.Cert, c.Key = env("OS_REGION_NAME"), env("OS_CACERT"), env("OS_CERT"), env("OS_KEY")
	c.Availability, err = availability(cmp.Or(env("OS_ENDPOINT_TYPE"), env("OS_INTERFACE")))
	c.Insecure = slices.Contains([]string{"1", "true", "yes"}, strings.ToLower(env("OS_INSECURE")))
	c.From = "the environment"
	return c, err
}

// availability reads which of a service's endpoints to use: "" is public. The suffix URL, as in
// publicURL, is the older form.
func availability(word string) (gophercloud.Availability, error) {
	switch strings.TrimSuffix(word, "URL") {
	case "", "public":
		return gophercloud.AvailabilityPublic, nil
	case "internal":
		return gophercloud.AvailabilityInternal, nil
	case "admin":
		return gophercloud.AvailabilityAdmin, nil
	}
	return "", fmt.Errorf("interface %q is none of public, internal and admin", word)
}

// credentials builds the credentials. look returns values by their names in clouds.yaml.
func credentials(look func(key string) string, authType string) (c Credentials, err error) {
	c.Auth = gophercloud.AuthOptions{
		IdentityEndpoint: look("auth_url"), Username: look("username"), UserID: look("user_id"),
		Password: look("password"), TokenID: look("token"),
		ApplicationCredentialID: look("application_credential_id"), ApplicationCredentialName: look("application_credential_name"),
		ApplicationCredentialSecret: look("application_credential_secret"),
	}
	a := &c.Auth
	if a.IdentityEndpoint == "" {
		return c, errors.New("auth_url is missing")
	}
	byApplication := strings.Contains(authType, "applicationcredential") || authType == "" && a.ApplicationCredentialSecret != ""
	byToken := strings.HasSuffix(authType, "token") || authType == "" && !byApplication && a.Password == "" && a.TokenID != ""
	if !byApplication && !byToken && !slices.Contains([]string{"", "password", "v3password"}, authType) {
		return c, fmt.Errorf("auth_type %s is not known: password, token or v3applicationcredential", authType)
	}
	domainID, domainName := look("user_domain_id"), look("user_domain_name")
	if domainID == "" && domainName == "" {
		domainID, domainName = look("domain_id"), look("domain_name")
	}
	if domainID == "" && domainName == "" {
		domainID = cmp.Or(look("default_domain"), "default")
	}
	if domainName != "" {
		domainID = ""
	}
	switch {
	case byApplication:
		if a.ApplicationCredentialSecret == "" || a.ApplicationCredentialID == "" && a.ApplicationCredentialName == "" {
			return c,
				errors.New("application_credential_secret is missing, or both application_credential_id and application_credential_name")
		}
		a.Password, a.TokenID = "", ""
		if a.ApplicationCredentialID != "" {
			a.Username, a.UserID, a.ApplicationCredentialName = "", "", ""
			return c, nil
		}
		if a.UserID == "" {
			a.DomainID, a.DomainName = domainID, domainName
		}
		return c, nil // it is for one project already
	case byToken:
		if a.TokenID == "" {
			return c, errors.New("token is missing")
		}
		a.Username, a.UserID, a.Password = "", "", ""
	default:
		if a.Password == "" || a.Username == "" && a.UserID == "" {
			return c, errors.New("username (or user_id) and password are missing")
		}
		a.TokenID, a.ApplicationCredentialID, a.ApplicationCredentialName, a.ApplicationCredentialSecret = "", "", "", ""
		if a.UserID != "" {
			a.Username = ""
		} else {
			a.DomainID, a.DomainName = domainID, domainName
		}
	}
	scope := &gophercloud.AuthScope{ProjectID: look("project_id")}
	if scope.ProjectID == "" {
		if scope.ProjectName = look("project_name"); scope.ProjectName == "" {
			return c, errors.New("project_id is missing, and project_name")
		}
		if scope.DomainName = cmp.Or(look("project_domain_name"), look("domain_name")); scope.DomainName == "" {
			scope.DomainID = cmp.Or(look("project_domain_id"), look("domain_id"), look("default_domain"), "default")
		}
	}
	a.Scope = scope
	return c, nil
}

// TLS returns how to verify the cloud, and our own certificate. nil: the system's default.
func (c Credentials) TLS() (*tls.Config, error) {
	if c.CACert == "" && c.Cert == "" && !c.Insecure {
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.Insecure}
	if c.CACert != "" {
		pem, err := os.ReadFile(c.CACert)
		if err != nil {
			return nil, fmt.Errorf("cacert: %w", err)
		}
		if t.RootCAs, err = x509.SystemCertPool(); err != nil {
			t.RootCAs = x509.NewCertPool()
		}
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("cacert: there is no certificate in %s", c.CACert)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, cmp.Or(c.Key, c.Cert))
		if err != nil {
			return nil, fmt.Errorf("cert: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}
