#include "nt_api.h"
