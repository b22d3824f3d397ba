// The public library in one header.
#pragma once

#include "tessera/array/flow.hpp"
#include "tessera/array/jit.hpp"
#include "tessera/array/ops.hpp"
#include "tessera/array/random.hpp"
#include "tessera/array/transforms.hpp"
#include "tessera/array/tree.hpp"
#include "tessera/nn/attention.hpp"
#include "tessera/nn/nn.hpp"
#include "tessera/nn/recurrent.hpp"
#include "tessera/optim/optim.hpp"
