package server

import (
	"testing"

	"github.com/chanws/chanws/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
