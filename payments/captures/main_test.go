package captures_test

import (
	"testing"

	"github.com/doisoat/doisoat/payments/paytest"
)

func TestMain(m *testing.M) { paytest.Main(m) }
