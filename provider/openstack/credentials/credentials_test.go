package credentials_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/openstack/credentials"
)

func env(kv map[string]string) func(string) string { return func(k string) string { return kv[k] } }

func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestCredentialsOfTheEnvironment(t *testing.T) {
	base := map[string]string{
		"OS_AUTH_URL": "http://x:5000/v3", "OS_USERNAME": "ann", "OS_PASSWORD": "sesame", "OS_PROJECT_NAME": "p",
		"OS_USER_DOMAIN_NAME":    "Users",
		"OS_PROJECT_DOMAIN_NAME": "Projects", "OS_REGION_NAME": "R", "OS_INTERFACE": "internalURL", "OS_CACERT": "/ca",
	}
	with := func(kv ...string) map[string]string {
		out := map[string]string{}
		for k, v := range base {
			out[k] = v
		}
		for i := 0; i < len(kv); i += 2 {
			out[kv[i]] = kv[i+1]
		}
		return out
	}
	for _, c := range []struct {
		name string
		env  map[string]string
		look func(credentials.Credentials) bool
	}{
		{"both domains", base, func(c credentials.Credentials) bool {
			return c.Auth.DomainName == "Users" && c.Auth.Scope.DomainName == "Projects" &&
				c.Auth.Scope.ProjectName == "p" && c.Region == "R" &&
				c.Availability == gophercloud.AvailabilityInternal && c.CACert == "/ca" && c.Auth.AllowReauth
		}},
		{"old names", with("OS_PROJECT_NAME", "", "OS_TENANT_ID", "t"), func(c credentials.Credentials) bool {
			return c.Auth.Scope.ProjectID == "t" && c.Auth.Scope.DomainName == ""
		}},
		{"no domain", with("OS_USER_DOMAIN_NAME", "", "OS_PROJECT_DOMAIN_NAME", ""), func(c credentials.Credentials) bool {
			return c.Auth.DomainID == "default" && c.Auth.Scope.DomainID == "default"
		}},
		{"application credential", with(
			"OS_AUTH_TYPE", "v3applicationcredential", "OS_APPLICATION_CREDENTIAL_ID", "i",
			"OS_APPLICATION_CREDENTIAL_SECRET", "s",
		),
			func(c credentials.Credentials) bool {
				return c.Auth.Scope == nil && c.Auth.Password == "" && c.Auth.Username == "" && c.Auth.ApplicationCredentialSecret == "s"
			}},
		{"token", with("OS_AUTH_TYPE", "v3token", "OS_TOKEN", "t"), func(c credentials.Credentials) bool {
			return c.Auth.TokenID == "t" && c.Auth.Username == "" && c.Auth.Password == "" && c.Auth.Scope.ProjectName == "p"
		}},
	} {
		got, err := credentials.Find(credentials.Where{Getenv: env(c.env)})
		if err != nil || !c.look(got) {
			t.Errorf("%s: got = %+v, err = %v; want no error and c.look(got)", c.name, got, err)
		}
	}
	for missing, want := range map[string]string{
		"OS_AUTH_URL": "$OS_AUTH_URL is not set", "OS_PASSWORD": "password", "OS_PROJECT_NAME": "project_id",
	} {
		_, err := credentials.Find(credentials.Where{Getenv: env(with(missing, ""))})
		if !errors.Is(err, compute.ErrInvalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("without %s: %v", missing, err)
		}
	}
}

func TestCredentialsOfFiles(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "clouds.yaml", `
clouds:
  one:
    auth: {auth_url: 'http://one/v3', username: ann, project_name: p, user_domain_name: Default, project_domain_name: Default}
    region_name: R1
    interface: admin
    identity_api_version: 3
  two:
    auth: {auth_url: 'http://two/v3', application_credential_id: i}
    auth_type: v3applicationcredential
    regions: [R2, R3]
    verify: false
`)
	write(t, dir, "secure.yaml", "clouds:\n  one: {auth: {password: sesame}}\n  two: {auth: {application_credential_secret: open}}\n")
	one, err := credentials.Find(credentials.Where{
		Cloud: "one", File: file, Getenv: env(map[string]string{"OS_REGION_NAME": "other"}),
	})
	if err != nil || one.Auth.Password != "sesame" || one.Region != "R1" || one.Availability != gophercloud.AvailabilityAdmin {
		t.Errorf("one: %+v, %v", one, err)
	}
	two, err := credentials.Find(credentials.Where{
		Region: "R3", Getenv: env(map[string]string{"OS_CLOUD": "two", "OS_CLIENT_CONFIG_FILE": file}),
	})
	if err != nil || two.Auth.ApplicationCredentialSecret != "open" || two.Region != "R3" || !two.Insecure {
		t.Errorf("two: %+v, %v", two, err)
	}
	if _, err := credentials.Find(credentials.Where{
		Cloud: "three", File: file, Getenv: env(nil),
	}); !errors.Is(err, compute.ErrInvalid) ||
		!strings.Contains(err.Error(), "one, two") {
		t.Errorf("an unknown cloud: %v", err)
	}
	for _, password := range []string{
		"[sesame]", "*sesame", "!!int sesame", "!!float sesame", "!!binary '*sesame'", "\"sesame", "{sesame", "!<sesame",
		"%sesame", "[*sesame", "&sesame *sesame",
	} {
		bad := write(t, t.TempDir(), "clouds.yaml", "clouds:\n  one:\n    auth:\n      password: "+password+"\n")
		if _, err := credentials.Find(credentials.Where{
			Cloud: "one", File: bad, Getenv: env(nil),
		}); !errors.Is(err, compute.ErrInvalid) ||
			strings.Contains(err.Error(), "sesame") {
			t.Errorf("password: %s: %v", password, err)
		}
	}
	if _, err := credentials.Find(credentials.Where{
		Cloud: "one", File: filepath.Join(dir, "none"), Getenv: env(nil),
	}); !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("no file: %v", err)
	}
}
