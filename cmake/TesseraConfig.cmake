# find_package(Tessera CONFIG REQUIRED) gives the target Tessera::tessera.
include(${CMAKE_CURRENT_LIST_DIR}/TesseraTargets.cmake)
