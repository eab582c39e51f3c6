package stock_test

import (
	"testing"

	"github.com/hostler-project/hostler/director/stock"
)

// TestChances has the chances fall, and the last one that is needed for the hit rate be the last.
func TestChances(t *testing.T) {
	for _, hit := range []float64{0.5, 0.9, stock.UsualHitRate, 0.999} {
		for _, mean := range []float64{1e-9, 0.01, 0.1, 1, 2.5, 20, 299, 301, 1000} {
			more := stock.Chances(hit, mean)
			n := len(more) - 1
			slack := 1e-9
			if mean > 300 { // both are by the normal distribution, which is not exact
				slack = 0.02
			}
			if more[n] > 1-hit+slack || n > 0 && more[n-1] <= 1-hit-slack {
				t.Errorf("mean %v, hit rate %v: %d are to be ready, and the chances end %v", mean, hit, n+1, more[max(0, n-2):])
			}
			for k := 1; k <= n; k++ {
				if more[k] > more[k-1] {
					t.Errorf("mean %v, hit rate %v: number %d is likelier to be asked for than the one before", mean, hit, k)
				}
			}
		}
	}
	if more := stock.Chances(0.95, 0); more != nil {
		t.Errorf("without requests: %v, want none", more)
	}
}
