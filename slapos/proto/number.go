package proto

import (
	"errors"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// From this magnitude on, 10^24, an integer is written as a long.
var longFrom = new(big.Int).Exp(big.NewInt(10), big.NewInt(24), nil)

// The longest integer that is read, in characters: the longest that the reference reads.
const maxDigits = 4300

// blank is the white space of XML.
const blank = " \t\r\n"

// readInt returns an int64, or a *big.Int for what exceeds it. Blanks around it and one sign are
// allowed.
func readInt(text string) (any, error) {
	text = strings.Trim(text, blank)
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n, nil
	}
	digits := strings.TrimLeft(text, "+-")
	if len(text) > maxDigits || len(text)-len(digits) > 1 || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return nil, errors.New("is not an integer")
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return nil, errors.New("is not an integer")
	}
	if n.IsInt64() {
		return n.Int64(), nil
	}
	return n, nil
}

// readFloat reads a decimal number. Hexadecimal digits and underscores are refused, and a number
// out of range is an infinity.
func readFloat(text string) (float64, error) {
	text = strings.Trim(text, blank)
	if strings.ContainsAny(text, "xX_") {
		return 0, errors.New("is not a number")
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, errors.New("is not a number")
	}
	return f, nil // beyond the range: an infinity, as for the reference
}

// appendFloat writes the shortest digits that read back the same: plain from 1e-4 up to below 1e16,
// with an exponent elsewhere.
func appendFloat(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, "nan"...)
	case math.IsInf(f, 1):
		return append(b, "inf"...)
	case math.IsInf(f, -1):
		return append(b, "-inf"...)
	}
	from := len(b)
	if m := math.Abs(f); m != 0 && (m < 1e-4 || m >= 1e16) {
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	b = strconv.AppendFloat(b, f, 'f', -1, 64)
	for _, c := range b[from:] {
		if c == '.' {
			return b
		}
	}
	return append(b, ".0"...)
}
