package cloud

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host/clouds"
)

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

// variablesOf returns the required variables of a provider, then the optional ones.
func variablesOf(provider string) ([2][]string, error) {
	p, ok := clouds.ProjectOf(provider)
	if !ok {
		return [2][]string{}, &compute.Error{
			Op: "cloud.New", ID: compute.ID(provider), Kind: compute.ErrInvalid,
			Err: fmt.Errorf("unknown provider name %q", provider), Hint: "say " + strings.Join(clouds.Types(), " or "),
		}
	}
	return [2][]string{p.Required, p.Optional}, nil
}
