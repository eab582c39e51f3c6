package cloud

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// variables are the environment variables that clients of a cloud read: the required ones, then the
// optional ones.
var variables = map[string][2][]string{
	"openstack": {
		{"OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_REGION_NAME"},
		{
			"OS_USERID", "OS_TENANT_ID", "OS_TENANT_NAME", "OS_DOMAIN_ID", "OS_PROJECT_DOMAIN_ID", "OS_DOMAIN_NAME",
			"OS_USER_DOMAIN_NAME", "OS_PROJECT_ID", "OS_PROJECT_NAME", "OS_POOL_NAME",
		},
	},
	"ec2": {
		{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"},
		{"AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"},
	},
}

// RequiredEnv lists the environment variables that a provider needs if its credentials come from
// nowhere else, such as a clouds.yaml.
func RequiredEnv(provider string) ([]string, error) {
	v, err := variablesOf(provider)
	return slices.Clone(v[0]), err
}

// MaybeEnv lists the optional environment variables of a provider.
func MaybeEnv(provider string) ([]string, error) {
	v, err := variablesOf(provider)
	return slices.Clone(v[1]), err
}

// AllEnv lists the required variables, then the optional ones.
func AllEnv(provider string) ([]string, error) {
	v, err := variablesOf(provider)
	return slices.Concat(v[0], v[1]), err
}

// MissingEnv returns an error that names all required variables for which getenv returns ""; nil if
// there are none.
func MissingEnv(provider string, getenv func(string) string) error {
	required, err := RequiredEnv(provider)
	if err != nil {
		return err
	}
	required = slices.DeleteFunc(required, func(name string) bool { return getenv(name) != "" })
	if len(required) == 0 {
		return nil
	}
	return &compute.Error{Op: "cloud.New", ID: compute.ID(provider), Kind: compute.ErrInvalid,
		Err:  errors.New("missing environment variables: " + strings.Join(required, ", ")),
		Hint: "source the rc file that the cloud offers, or name a cloud of clouds.yaml"}
}

func variablesOf(provider string) ([2][]string, error) {
	v, ok := variables[provider]
	if !ok {
		return v, &compute.Error{
			Op: "cloud.New", ID: compute.ID(provider), Kind: compute.ErrInvalid,
			Err: fmt.Errorf("unknown provider name %q", provider), Hint: "say openstack or ec2",
		}
	}
	return v, nil
}
