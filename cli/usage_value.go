package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// valueText says what is wrong with the value of an option.
func valueText(bad *pflag.InvalidValueError) string {
	name, value, why := "--"+bad.GetFlag().Name, bad.GetValue(), bad.Unwrap().Error()
	if strings.Contains(why, "strconv.") {
		why = "is not a number that it takes"
		if bad.GetFlag().Value.Type() == "bool" {
			why = "is neither true nor false; the option alone means true"
		}
		return fmt.Sprintf("%s: %q %s", name, value, why)
	}
	why = strings.TrimPrefix(why, fmt.Sprintf("%q is ", value))
	if value == "" || strings.ContainsAny(value, " \t\n") {
		value = strconv.Quote(value)
	}
	return name + " " + value + ": " + why
}
